import type { DescService } from "@bufbuild/protobuf";
import type { MethodDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { listBidiRpcs, listRpcs, listServerStreamRpcs, type Rpcs } from "../../rpc/rpcs.js";
import { type BidiOptions, bidi } from "./bidi.js";
import { bytesMethod } from "./messages.js";
import { type ServerStreamOptions, serverStream } from "./server-stream.js";
import { unary } from "./unary.js";

/**
 * A service in the form that grpc-js takes, its methods as `bytesMethod` has them. To a rejected
 * promise grpc-js would answer nothing at all.
 */
export function toGrpcService<S extends DescService>(
  service: S,
  rpcs: Rpcs<S>,
  options: BidiOptions & ServerStreamOptions,
) {
  const { calls, callerOf } = options;
  const definition: Record<string, MethodDefinition<Buffer, Buffer>> = {};
  const implementation: UntypedServiceImplementation = {};
  for (const { method, name, rpc } of listRpcs(service, rpcs)) {
    definition[method.localName] = bytesMethod(name, {
      requestStream: false,
      responseStream: false,
    });
    implementation[method.localName] = unary(method, name, rpc, calls, callerOf);
  }
  for (const { method, name, rpc } of listBidiRpcs(service, rpcs)) {
    definition[method.localName] = bytesMethod(name, { requestStream: true, responseStream: true });
    implementation[method.localName] = bidi(method, name, rpc, options);
  }
  for (const { method, name, rpc } of listServerStreamRpcs(service, rpcs)) {
    definition[method.localName] = bytesMethod(name, {
      requestStream: false,
      responseStream: true,
    });
    implementation[method.localName] = serverStream(method, name, rpc, options);
  }
  return { definition, implementation };
}
