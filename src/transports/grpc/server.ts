import type { DescService } from "@bufbuild/protobuf";
import {
  type ChannelOptions,
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
} from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import type { Calls } from "../calls.js";
import type { Listener } from "../listener.js";
import type { Rpcs } from "../rpcs.js";
import { addReflection } from "./reflection.js";
import { toGrpcService } from "./unary.js";

/** grpc-js leaves all of these but the first unlimited. */
const LIMITS: ChannelOptions = {
  // The largest request is an update of 60,000 bytes of JSON, at most about
  // seven times that as a Struct.
  "grpc.max_receive_message_length": 1024 * 1024,
  // A page of a list ends at 1 MiB of JSON; this is what clients accept by default.
  "grpc.max_send_message_length": 4 * 1024 * 1024,
  "grpc.max_concurrent_streams": 1024,
  "grpc-node.max_session_memory": 32,
  // A peer that is silent or gone does not keep its connection.
  "grpc.max_connection_idle_ms": 15 * 60_000,
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
};

export interface GrpcOptions {
  /** `host:port`; port 0 picks one. */
  readonly address: string;
  readonly sessionRpcs: Rpcs<typeof SessionService>;
  readonly calls: Calls;
}

/** Serves gRPC with health and reflection. Rejects if the address cannot be bound. */
export async function listenGrpc({ address, sessionRpcs, calls }: GrpcOptions): Promise<Listener> {
  // It writes to standard error what it also throws, in lines that are no log lines.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server(LIMITS);
  const services: DescService[] = [SessionService];
  const { definition, implementation } = toGrpcService(SessionService, sessionRpcs, calls);
  server.addService(definition, implementation);

  const names = ["", ...services.map(({ typeName }) => typeName)];
  const health = new HealthImplementation();
  const setHealth = (status: "SERVING" | "NOT_SERVING") => {
    for (const name of names) health.setStatus(name, status);
  };
  setHealth("SERVING");
  health.addToServer(server);
  addReflection(server, services);

  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });

  return {
    address: `${address.slice(0, address.lastIndexOf(":"))}:${port}`,
    drain: () => setHealth("NOT_SERVING"),
    close: (grace) =>
      new Promise((resolve) => {
        // What outlives the grace, a health watch say, is cut.
        const timer = setTimeout(() => server.forceShutdown(), grace);
        server.tryShutdown(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
  };
}
