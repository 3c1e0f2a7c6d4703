import type { DescService } from "@bufbuild/protobuf";
import {
  type Code,
  ConnectError,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import { fastifyConnectPlugin } from "@connectrpc/connect-fastify";
import type { FastifyInstance } from "fastify";
import type { LatchkeyError } from "../../domain/error.js";
import type { Calls } from "../calls.js";
import { errorDetails } from "../error-details.js";
import { listRpcs, type Rpc, type Rpcs } from "../rpcs.js";
import { STATUS } from "../status.js";

/** Connect's own are none. Deadlines beyond the maximum are refused. */
const LIMITS = {
  readMaxBytes: 1024 * 1024,
  writeMaxBytes: 4 * 1024 * 1024,
  maxTimeoutMs: 60_000,
};

/** Serves the service by Connect and gRPC-Web at `/<service>/<method>`. */
export async function addConnect<S extends DescService>(
  app: FastifyInstance,
  service: S,
  rpcs: Rpcs<S>,
  calls: Calls,
): Promise<void> {
  const implementation: Record<string, unknown> = {};
  for (const { method, name, rpc } of listRpcs(service, rpcs)) {
    implementation[method.localName] = unary(name, rpc, calls);
  }
  await app.register(fastifyConnectPlugin, {
    ...LIMITS,
    grpc: false, // It needs HTTP/2; the gRPC listener serves it, and faster.
    routes: (router) => {
      router.service(service, implementation as Partial<ServiceImpl<S>>);
    },
  });
}

function unary(name: string, rpc: Rpc, calls: Calls) {
  return (request: Parameters<Rpc>[0], { signal }: HandlerContext) =>
    calls
      .run("connect", name, () => rpc(request, { cancelled: () => signal.aborted }))
      .catch((error: LatchkeyError) => {
        // Connect numbers its codes as gRPC does.
        const code = STATUS[error.code].grpc as number as Code;
        throw new ConnectError(error.message, code, undefined, errorDetails(error));
      });
}
