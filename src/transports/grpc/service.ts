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
import { bytesMethod } from "./messages.js";
import { serverStream } from "./server-stream.js";
import { type BidiOptions, bidi } from "./streams.js";
import { toStatus, unary } from "./unary.js";

type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
type UnaryCallback = sendUnaryData<Buffer>;

export interface ServiceOptions extends BidiOptions {
  readonly admission: Admission;
}

/**
 * A service in the form that grpc-js takes, its methods as `bytesMethod` has them. To a rejected
 * promise grpc-js would answer nothing at all.
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
  for (const { method, name, rpc } of listRpcs(service, rpcs)) {
    definition[method.localName] = bytesMethod(name, {
      requestStream: false,
      responseStream: false,
    });
    const take = unary(method, name, rpc, calls, callerOf);
    implementation[method.localName] = (call: UnaryCall, callback: UnaryCallback) => {
      if (admission.admits()) take(call, callback);
      else admission.refuse("grpc", () => callback(overload));
    };
  }
  for (const { method, name, rpc } of listBidiRpcs(service, rpcs)) {
    definition[method.localName] = bytesMethod(name, { requestStream: true, responseStream: true });
    implementation[method.localName] = stream(bidi(method, name, rpc, options));
  }
  for (const { method, name, rpc } of listServerStreamRpcs(service, rpcs)) {
    definition[method.localName] = bytesMethod(name, {
      requestStream: false,
      responseStream: true,
    });
    implementation[method.localName] = stream(serverStream(method, name, rpc, calls, callerOf));
  }
  return { definition, implementation };
}
