import type { ServerWritableStream } from "@grpc/grpc-js";
import type { LatchkeyError } from "../../domain/error.js";
import type { Calls } from "../calls.js";
import type { ServerStreamMethod, ServerStreamRpc } from "../rpcs.js";
import { decoderOf, encoderOf } from "./messages.js";
import { type CallerOf, toStatus } from "./unary.js";

type Call = ServerWritableStream<Buffer, Buffer>;

/**
 * A server-streaming RPC as grpc-js takes it. A response is asked for when the one before it has
 * left the queues of grpc-js: for a caller who does not read, one response waits.
 */
export function serverStream(
  method: ServerStreamMethod,
  name: string,
  rpc: ServerStreamRpc,
  calls: Calls,
  callerOf: CallerOf,
): (call: Call) => void {
  const run = calls.of("grpc", name);
  const decode = decoderOf(method);
  const encode = encoderOf(method);
  const serve = async (call: Call): Promise<void> => {
    const { signal, send } = openSender(call);
    const caller = await callerOf(call);
    const request = decode(call.request);
    const responses = rpc(request, { cancelled: () => call.cancelled, caller, signal });
    for await (const response of responses) {
      await send(encode(response));
      if (signal.aborted) return;
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
function openSender(call: Call) {
  const abort = new AbortController();
  let resume = () => {};
  const over = () => {
    abort.abort();
    resume();
  };
  call.once("cancelled", over).once("close", over);
  if (call.cancelled) over();
  return {
    signal: abort.signal,
    send: (bytes: Buffer): Promise<void> =>
      new Promise((resolve) => {
        resume = resolve;
        if (abort.signal.aborted) resolve();
        else call.write(bytes, () => resolve());
      }),
  };
}
