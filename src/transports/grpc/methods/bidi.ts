import type { ServerDuplexStream } from "@grpc/grpc-js";
import { LatchkeyError } from "../../../domain/error.js";
import { CANCELLED, type Calls } from "../../call/calls.js";
import type { StartIdleTimer } from "../../net/idle-timer.js";
import type { BidiMethod, BidiRpc } from "../../rpc/rpcs.js";
import { decoderOf, encoderOf } from "./messages.js";
import { type CallerOf, toStatus } from "./unary.js";

type Call = ServerDuplexStream<Buffer, Buffer>;

/** Seconds in which something of a stream must move, a request in or an answer out. */
export const STREAM_IDLE = 60;

/**
 * Milliseconds that the end of the requests is thought over before it is called wrong: Node's
 * HTTP/2 clients end the requests of a call that they cancel, and say a moment later that they do.
 */
const PARTING = 100;

export interface BidiOptions {
  readonly calls: Calls;
  readonly callerOf: CallerOf;
  readonly startIdleTimer: StartIdleTimer;
  /** A message of the call's was taken. */
  readonly taken: (call: object) => void;
}

/**
 * A bidirectional RPC as grpc-js takes it. A request is taken up only when the answers to those
 * before it are on their way, so that a caller who does not read is not read from: what waits is
 * the queues of grpc-js, two requests and 16 answers, and the answers to one request. A stream of
 * which nothing moves for STREAM_IDLE ends with `limit`.
 */
export function bidi(
  method: BidiMethod,
  name: string,
  rpc: BidiRpc,
  { calls, callerOf, startIdleTimer, taken }: BidiOptions,
): (call: Call) => void {
  const run = calls.of("grpc", name);
  const decode = decoderOf(method);
  const encode = encoderOf(method);
  const serve = async (call: Call): Promise<Ending> => {
    limitReadAhead(call);
    const caller = await callerOf(call);
    const bidiCall = rpc({ cancelled: () => call.cancelled, caller });
    const answer = (responses: readonly Parameters<typeof encode>[0][]): boolean => {
      let hasRoom = true;
      for (const response of responses) hasRoom = call.write(encode(response)) && hasRoom;
      return hasRoom;
    };
    return forEach(call, startIdleTimer, {
      next: (bytes) => {
        taken(call);
        return answer(bidiCall.next(decode(bytes)));
      },
      end: () => answer(bidiCall.end()),
    });
  };
  return (call) => {
    Promise.resolve(run(serve, call)).then(
      (ending) => {
        if (ending === "answered") call.end();
      },
      // A LatchkeyError, as `run` promises; grpc-js makes it the call's status.
      (error: LatchkeyError) => call.emit("error", toStatus(error)),
    );
  };
}

type Ending = "answered" | typeof CANCELLED;

/** What to do with each message, and after the last; `next` answers whether there is room. */
interface Work {
  next(bytes: Buffer): boolean;
  end(): void;
}

/**
 * Gives `next` each message, and waits for `drain` where it answers false; then calls `end`.
 * Rejects with what they throw, and where nothing moves any more, and reads no further. Resolves
 * to CANCELLED when the call is over before its answer is made: cancelled, past its deadline, or
 * its connection lost.
 */
function forEach(call: Call, startIdleTimer: StartIdleTimer, { next, end }: Work): Promise<Ending> {
  return new Promise((resolve, reject) => {
    let parting: NodeJS.Timeout | undefined;
    // Not an iterator of the stream: that destroys it at an error, before the status is sent.
    const stop = () => {
      clearTimeout(parting);
      idle.stop();
      call.off("data", onData).off("end", onEnd).off("drain", onDrain).off("close", onClose);
      call.off("cancelled", onClose);
      call.pause();
    };
    const fail = (error: unknown) => {
      stop();
      reject(error);
    };
    const idle = startIdleTimer(STREAM_IDLE * 1_000, () => fail(idleError()));
    const onData = (bytes: Buffer) => {
      idle.restart();
      try {
        if (!next(bytes)) call.pause();
      } catch (error) {
        fail(error);
      }
    };
    const onDrain = () => {
      idle.restart();
      call.resume();
    };
    const onEnd = () => {
      try {
        end();
      } catch (error) {
        parting = setTimeout(() => fail(error), PARTING);
        return;
      }
      stop();
      resolve("answered");
    };
    const onClose = () => {
      stop();
      resolve(CANCELLED);
    };
    call.on("data", onData).on("end", onEnd).on("drain", onDrain).on("close", onClose);
    call.on("cancelled", onClose);
    if (call.cancelled) onClose();
  });
}

/** Has grpc-js read one message ahead: it would 16, each of up to a MiB, and has no option for it. */
function limitReadAhead(call: Call): void {
  const state: unknown = Reflect.get(call, "_readableState");
  if (state instanceof Object) Reflect.set(state, "highWaterMark", 1);
}

function idleError(): LatchkeyError {
  return new LatchkeyError(
    "limit",
    `a stream may pause for ${STREAM_IDLE} s, and no request came and no answer was read in that time: begin another`,
  );
}
