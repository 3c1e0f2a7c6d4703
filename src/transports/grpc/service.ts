import type { EventEmitter } from "node:events";
import type { DescService } from "@bufbuild/protobuf";
import type {
  MethodDefinition,
  ServerUnaryCall,
  sendUnaryData,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { overloaded } from "../../domain/error.js";
import type { Admission } from "../admission.js";
import { listBidiRpcs, listRpcs, listServerStreamRpcs, type Rpcs } from "../rpcs.js";
import { serverStream } from "./server-stream.js";
import { type BidiOptions, bidi } from "./streams.js";
import { toStatus, unary } from "./unary.js";

type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
type UnaryCallback = sendUnaryData<Buffer>;

export interface ServiceOptions extends BidiOptions {
  readonly admission: Admission;
}

const same = <T>(bytes: T): T => bytes;

/**
 * A service in the form that grpc-js takes. Messages stay bytes as far as
 * grpc-js is concerned: what it would answer to a request that cannot be decoded
 * is INTERNAL, and to a rejected promise nothing at all.
 */
export function toGrpcService<S extends DescService>(
  service: S,
  rpcs: Rpcs<S>,
  options: ServiceOptions,
) {
  const { calls, callerOf, admission } = options;
  const overload = toStatus(overloaded());
  const stream =
    <C extends EventEmitter>(take: (call: C) => void) =>
    (call: C) => {
      if (admission.admits()) take(call);
      else admission.refuse("grpc", () => call.emit("error", overload));
    };
  const definition: Record<string, MethodDefinition<Buffer, Buffer>> = {};
  const implementation: UntypedServiceImplementation = {};
  const define = (
    localName: string,
    name: string,
    streams: Pick<MethodDefinition<Buffer, Buffer>, "requestStream" | "responseStream">,
  ) => {
    definition[localName] = {
      path: `/${name}`,
      ...streams,
      requestSerialize: same<Buffer>,
      requestDeserialize: same<Buffer>,
      responseSerialize: same<Buffer>,
      responseDeserialize: same<Buffer>,
    };
  };
  for (const { method, name, rpc } of listRpcs(service, rpcs)) {
    define(method.localName, name, { requestStream: false, responseStream: false });
    const take = unary(method, name, rpc, calls, callerOf);
    implementation[method.localName] = (call: UnaryCall, callback: UnaryCallback) => {
      if (admission.admits()) take(call, callback);
      else admission.refuse("grpc", () => callback(overload));
    };
  }
  for (const { method, name, rpc } of listBidiRpcs(service, rpcs)) {
    define(method.localName, name, { requestStream: true, responseStream: true });
    implementation[method.localName] = stream(bidi(method, name, rpc, options));
  }
  for (const { method, name, rpc } of listServerStreamRpcs(service, rpcs)) {
    define(method.localName, name, { requestStream: false, responseStream: true });
    implementation[method.localName] = stream(serverStream(method, name, rpc, calls, callerOf));
  }
  return { definition, implementation };
}
