import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { LatchkeyError } from "../../domain/error.js";
import type { Calls } from "../calls.js";
import type { BidiMethod, BidiRpc } from "../rpcs.js";
import { compileEncoder } from "./message-encoder.js";
import { type CallerOf, decode, toStatus } from "./unary.js";

type Call = ServerDuplexStream<Buffer, Buffer>;

/**
 * A bidirectional RPC as grpc-js takes it. A request is taken up only when the answers to those
 * before it are on their way, so that a caller who does not read is not read from: what waits is
 * the queues of grpc-js, 16 messages each way, and the answers to one request.
 */
export function bidi(
  method: BidiMethod,
  name: string,
  rpc: BidiRpc,
  calls: Calls,
  callerOf: CallerOf,
): (call: Call) => void {
  const run = calls.of("grpc", name);
  const encode = compileEncoder(method.output);
  const serve = async (call: Call): Promise<void> => {
    const caller = await callerOf(call);
    const bidiCall = rpc({ cancelled: () => call.cancelled, caller });
    const answer = (responses: readonly Parameters<typeof encode>[0][]): boolean => {
      let hasRoom = true;
      for (const response of responses) hasRoom = call.write(encode(response) as Buffer) && hasRoom;
      return hasRoom;
    };
    await forEach(
      call,
      (bytes) => answer(bidiCall.next(decode(method, bytes))),
      () => answer(bidiCall.end()),
    );
  };
  return (call) => {
    Promise.resolve(run(serve, call)).then(
      () => call.end(),
      // A LatchkeyError, as `run` promises; grpc-js makes it the call's status.
      (error: LatchkeyError) => call.emit("error", toStatus(error)),
    );
  };
}

/**
 * Gives `next` each message, and waits for `drain` where it answers false; then calls `end`.
 * Rejects with what they throw, and reads no further. Resolves, too, when the call is over
 * before its messages are: cancelled, past its deadline, or its connection lost.
 */
function forEach(call: Call, next: (bytes: Buffer) => boolean, end: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    // Not an iterator of the stream: that destroys it at an error, before the status is sent.
    const stop = () => {
      call.off("data", onData).off("end", onEnd).off("drain", onDrain).off("close", onClose);
      call.off("cancelled", onClose);
      call.pause();
    };
    const attempt = (work: () => void) => {
      try {
        work();
      } catch (error) {
        stop();
        reject(error);
      }
    };
    const onData = (bytes: Buffer) =>
      attempt(() => {
        if (!next(bytes)) call.pause();
      });
    const onDrain = () => call.resume();
    const onEnd = () =>
      attempt(() => {
        end();
        stop();
        resolve();
      });
    const onClose = () => {
      stop();
      resolve();
    };
    call.on("data", onData).on("end", onEnd).on("drain", onDrain).on("close", onClose);
    call.on("cancelled", onClose);
    if (call.cancelled) onClose();
  });
}
