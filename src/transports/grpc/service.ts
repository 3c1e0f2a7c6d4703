import type { DescService } from "@bufbuild/protobuf";
import type { MethodDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { listBidiRpcs, listRpcs, listServerStreamRpcs, type Rpcs } from "../rpcs.js";
import { serverStream } from "./server-stream.js";
import { type BidiOptions, bidi } from "./streams.js";
import { unary } from "./unary.js";

const same = <T>(bytes: T): T => bytes;

/**
 * A service in the form that grpc-js takes. Messages stay bytes as far as
 * grpc-js is concerned: what it would answer to a request that cannot be decoded
 * is INTERNAL, and to a rejected promise nothing at all.
 */
export function toGrpcService<S extends DescService>(
  service: S,
  rpcs: Rpcs<S>,
  options: BidiOptions,
) {
  const { calls, callerOf } = options;
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
    implementation[method.localName] = unary(method, name, rpc, calls, callerOf);
  }
  for (const { method, name, rpc } of listBidiRpcs(service, rpcs)) {
    define(method.localName, name, { requestStream: true, responseStream: true });
    implementation[method.localName] = bidi(method, name, rpc, options);
  }
  for (const { method, name, rpc } of listServerStreamRpcs(service, rpcs)) {
    define(method.localName, name, { requestStream: false, responseStream: true });
    implementation[method.localName] = serverStream(method, name, rpc, calls, callerOf);
  }
  return { definition, implementation };
}
