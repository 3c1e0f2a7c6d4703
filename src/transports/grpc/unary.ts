import { type DescService, fromBinary } from "@bufbuild/protobuf";
import {
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  type ServerUnaryCall,
  type StatusObject,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { type Awaitable, then } from "../../domain/awaitable.js";
import { LatchkeyError } from "../../domain/error.js";
import type { CallerSession } from "../../services/connections.js";
import type { Calls } from "../calls.js";
import { encodeStatus } from "../error-details.js";
import { listRpcs, type Rpc, type Rpcs, type UnaryMethod } from "../rpcs.js";
import { STATUS } from "../status.js";
import { compileEncoder } from "./message-encoder.js";

/** Who makes a call; throws or rejects with LatchkeyError. */
export type CallerOf = (
  call: Pick<ServerUnaryCall<unknown, unknown>, "getPeer" | "metadata">,
) => Awaitable<CallerSession | null>;

const same = <T>(bytes: T): T => bytes;

/**
 * A service in the form that grpc-js takes. Messages stay bytes as far as
 * grpc-js is concerned: what it would answer to a request that cannot be decoded
 * is INTERNAL, and to a rejected promise nothing at all.
 */
export function toGrpcService<S extends DescService>(
  service: S,
  rpcs: Rpcs<S>,
  calls: Calls,
  callerOf: CallerOf,
) {
  const definition: Record<string, MethodDefinition<Buffer, Buffer>> = {};
  const implementation: UntypedServiceImplementation = {};
  for (const { method, name, rpc } of listRpcs(service, rpcs)) {
    definition[method.localName] = {
      path: `/${name}`,
      requestStream: false,
      responseStream: false,
      requestSerialize: same<Buffer>,
      requestDeserialize: same<Buffer>,
      responseSerialize: same<Buffer>,
      responseDeserialize: same<Buffer>,
    };
    implementation[method.localName] = unary(method, name, rpc, calls, callerOf);
  }
  return { definition, implementation };
}

function unary(
  method: UnaryMethod,
  name: string,
  rpc: Rpc,
  calls: Calls,
  callerOf: CallerOf,
): handleUnaryCall<Buffer, Buffer> {
  const run = calls.of("grpc", name);
  const encode = compileEncoder(method.output);
  const toBytes = (response: Parameters<typeof encode>[0]) => encode(response) as Buffer; // protobufjs makes Buffers in Node.
  const answer = (call: ServerUnaryCall<Buffer, Buffer>) =>
    then(callerOf(call), (caller) => {
      const context = { cancelled: () => call.cancelled, caller };
      return then(rpc(decode(method, call.request), context), toBytes);
    });
  return (call, callback) => {
    // Its deadline passed, or it was cancelled, while it waited for its turn.
    if (call.cancelled) return;
    let answered: Awaitable<Buffer>;
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

function decode(method: UnaryMethod, bytes: Buffer) {
  try {
    return fromBinary(method.input, bytes);
  } catch (error) {
    const reason = error instanceof Error ? `: ${error.message}` : "";
    throw new LatchkeyError("invalid", `the request is no ${method.input.typeName}${reason}`);
  }
}

export function toStatus(error: LatchkeyError): Partial<StatusObject> {
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(encodeStatus(error)));
  return { code: STATUS[error.code].grpc, details: error.message, metadata };
}
