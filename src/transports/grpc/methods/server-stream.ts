import { constants } from "node:http2";
import type { ServerWritableStream } from "@grpc/grpc-js";
import type { LatchkeyError } from "../../../domain/error.js";
import type { Calls } from "../../call/calls.js";
import type { UnreadAnswers } from "../../call/unread-answers.js";
import type { StartIdleTimer } from "../../net/idle-timer.js";
import type { ServerStreamMethod, ServerStreamRpc } from "../../rpc/rpcs.js";
import { streamOf } from "../http2/streams.js";
import { decoderOf, encoderOf } from "./messages.js";
import { type CallerOf, toStatus } from "./unary.js";

type Call = ServerWritableStream<Buffer, Buffer>;

/** An answer is there as it was encoded, and as grpc-js frames it. */
const WEIGHT = 2;

/** Milliseconds in which a stream that is reset is closed. */
const RESET_TIME = 5_000;

export interface ServerStreamOptions {
  readonly calls: Calls;
  readonly callerOf: CallerOf;
  /** The address that a call came from. */
  readonly addressOf: (call: object) => string;
  readonly unread: UnreadAnswers;
  readonly startIdleTimer: StartIdleTimer;
}

/**
 * A server-streaming RPC as grpc-js takes it. A response is asked for when the one before it has
 * left the queues of grpc-js: for a caller who does not read, one response waits, in bytes.
 */
export function serverStream(
  method: ServerStreamMethod,
  name: string,
  rpc: ServerStreamRpc,
  options: ServerStreamOptions,
): (call: Call) => void {
  const { calls, callerOf, addressOf } = options;
  const run = calls.of("grpc", name);
  const decode = decoderOf(method);
  const encode = encoderOf(method);
  const serve = async (call: Call): Promise<void> => {
    const caller = await callerOf(call);
    const address = addressOf(call);
    const { signal, send, room } = openSender(call, caller?.account.id ?? address, options);
    const request = decode(call.request);
    const answers = rpc(request, {
      ...{ cancelled: () => call.cancelled, caller },
      ...{ signal, address, room },
    })[Symbol.asyncIterator]();
    // Functions, each of which keeps nothing of a response when it is done.
    const next = async (): Promise<Buffer | null> => {
      const { done, value } = await answers.next();
      return done ? null : encode(value);
    };
    const sendNext = async (): Promise<boolean> => {
      const bytes = await next();
      if (bytes) await send(bytes);
      return bytes !== null && !signal.aborted;
    };
    try {
      while (await sendNext());
    } finally {
      await answers.return?.();
    }
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
 * `signal` is aborted when the call is over before its responses are: cancelled, past its
 * deadline, or its connection lost. `send` resolves when the bytes are on their way, or then.
 */
function openSender(
  call: Call,
  owner: string | number,
  { unread, startIdleTimer }: ServerStreamOptions,
) {
  const abort = new AbortController();
  const stream = streamOf(call);
  const answers = unread.open({
    ...{ owner, connection: stream?.session, weight: WEIGHT },
    cut() {
      // Clients know it as RESOURCE_EXHAUSTED.
      stream?.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      // Where the reset cannot leave, nothing is read of the whole connection.
      const timer = startIdleTimer(RESET_TIME, () => stream?.session?.destroy());
      stream?.once("close", timer.stop);
    },
  });
  const over = () => {
    abort.abort();
    if (!stream) answers.end();
  };
  call.once("cancelled", over).once("close", over);
  stream?.once("close", answers.end);
  if (stream?.closed) answers.end();
  if (call.cancelled || stream?.closed) over();
  return {
    signal: abort.signal,
    room: answers.room,
    send: (bytes: Buffer): Promise<void> =>
      answers.send(bytes.length, (sent) => call.write(bytes, sent)),
  };
}
