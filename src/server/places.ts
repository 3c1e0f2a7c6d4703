import type { Logger } from "pino";
import type { ConnectionLimitSettings } from "../config/config.js";
import type { createNetworkRule } from "../lib/network.js";
import { createSparseLog } from "../lib/sparse-log.js";
import type { Connections } from "../services/access/connections.js";
import type { Metrics } from "../telemetry/metrics.js";
import {
  type ConnectionPlaces,
  createConnectionPlaces,
} from "../transports/net/connection-places.js";

export interface PlacesOptions {
  readonly limits: ConnectionLimitSettings;
  /** Who is connected; null where authentication is off. */
  readonly connections: Connections | null;
  /** Whether an address is a trusted proxy's. */
  readonly isTrustedProxy: ReturnType<typeof createNetworkRule>;
  readonly metrics: Pick<Metrics, "placeObserver">;
  readonly logger: Logger;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
}

/** Opens the places for connections of gRPC and HTTP; logs and counts the limits that are met. */
export function openPlaces(options: PlacesOptions): ConnectionPlaces {
  const { limits, connections, isTrustedProxy, logger, clock } = options;
  const { placeObserver } = options.metrics;
  const limitLog = createSparseLog<string>({
    clock,
    emit(kind, ip, count) {
      const [listener, limit] = kind.split(" ");
      logger.warn({ listener, limit, ip, count }, "a limit of connections was met");
    },
  });
  const places = createConnectionPlaces({
    limits,
    hasReserve: connections !== null,
    byIdleness: connections === null,
    // Behind a proxy that is trusted, or a socket file, an address tells no clients apart.
    isShared: (ip) => ip.startsWith("unix:") || isTrustedProxy(ip),
    onLimit(limit, listener, ip) {
      placeObserver.limited(listener, limit);
      limitLog.note(`${listener} ${limit}`, ip);
    },
  });
  for (const listener of ["grpc", "http"] as const) {
    placeObserver.watch(listener, () => places.count(listener));
  }
  return places;
}
