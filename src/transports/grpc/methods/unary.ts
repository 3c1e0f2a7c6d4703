import {
  type handleUnaryCall,
  Metadata,
  type ServerUnaryCall,
  type StatusObject,
} from "@grpc/grpc-js";
import type { LatchkeyError } from "../../../domain/error.js";
import { chain, type MaybePromise } from "../../../lib/maybe-promise.js";
import type { CallerSession } from "../../../services/access/connections.js";
import type { Calls } from "../../call/calls.js";
import { encodeStatus } from "../../call/error-details.js";
import { STATUS } from "../../call/status.js";
import type { Rpc, UnaryMethod } from "../../rpc/rpcs.js";
import { decoderOf, encoderOf } from "./messages.js";

/** Who makes a call; throws or rejects with LatchkeyError. */
export type CallerOf = (
  call: Pick<ServerUnaryCall<unknown, unknown>, "getPeer" | "metadata">,
) => MaybePromise<CallerSession | null>;

/** A unary RPC as grpc-js takes it. */
export function unary(
  method: UnaryMethod,
  name: string,
  rpc: Rpc,
  calls: Calls,
  callerOf: CallerOf,
): handleUnaryCall<Buffer, Buffer> {
  const run = calls.of("grpc", name);
  const decode = decoderOf(method);
  const encode = encoderOf(method);
  const answer = (call: ServerUnaryCall<Buffer, Buffer>) =>
    chain(callerOf(call), (caller) => {
      const context = { cancelled: () => call.cancelled, caller };
      return chain(rpc(decode(call.request), context), encode);
    });
  return (call, callback) => {
    // Its deadline passed, or it was cancelled, while it waited for its turn.
    if (call.cancelled) return;
    let answered: MaybePromise<Buffer>;
    try {
      answered = run(answer, call);
    } catch (error) {
      callback(toStatus(error as LatchkeyError)); // As `run` promises.
      return;
    }
    if (answered instanceof Promise) {
      answered.then(
        (response) => callback(null, response),
        (error: LatchkeyError) => callback(toStatus(error)),
      );
    } else {
      callback(null, answered);
    }
  };
}

export function toStatus(error: LatchkeyError): Partial<StatusObject> {
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(encodeStatus(error)));
  return { code: STATUS[error.code].grpc, details: error.message, metadata };
}
