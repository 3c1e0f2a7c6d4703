import type { FittedLimits } from "../config/open-files.js";
import { createNetworkRule } from "../lib/network.js";
import { createSparseLog } from "../lib/sparse-log.js";
import { createAuthorization } from "../services/access/authorization.js";
import { createCallers } from "../services/access/callers.js";
import type { Connections } from "../services/access/connections.js";
import { createDevices } from "../services/sessions/devices.js";
import type { Metrics } from "../telemetry/metrics.js";
import type { StrangerLog } from "../telemetry/stranger-log.js";
import { createByteBudget } from "../transports/call/byte-budget.js";
import { createCallOrigins } from "../transports/call/call-origin.js";
import type { Calls } from "../transports/call/calls.js";
import type { UnreadAnswers } from "../transports/call/unread-answers.js";
import { listenCommand } from "../transports/command/listener.js";
import { listenGrpc } from "../transports/grpc/server.js";
import { listenHttp } from "../transports/http/server.js";
import { createConnectionAges } from "../transports/net/connection-age.js";
import type { StartIdleTimer } from "../transports/net/idle-timer.js";
import type { PublicPart } from "../transports/net/listener.js";
import { createRkeRpcs } from "../transports/rpc/rke-rpcs.js";
import { createSessionRpcs } from "../transports/rpc/session-rpcs.js";
import type { CallAdmission } from "./admission.js";
import type { Clocks } from "./clocks.js";
import type { Listeners } from "./listeners.js";
import type { StartOptions } from "./options.js";
import { openPlaces } from "./places.js";
import type { Services } from "./services.js";

/** What the transports serve, and what all of them share. */
export interface TransportParts {
  readonly options: StartOptions;
  readonly clocks: Clocks;
  readonly limits: FittedLimits;
  readonly metrics: Metrics;
  readonly services: Services;
  /** Who is connected; null where authentication is off. */
  readonly connections: Connections | null;
  readonly calls: Calls;
  readonly gate: CallAdmission;
  readonly strangerLog: StrangerLog;
  readonly unread: UnreadAnswers;
  readonly startIdleTimer: StartIdleTimer;
}

/** Opens the listeners that the settings ask for: gRPC, HTTP and the command protocol. */
export async function openTransports(listeners: Listeners, parts: TransportParts): Promise<void> {
  const { options, clocks, limits, metrics, services, connections } = parts;
  const { calls, gate, strangerLog, unread, startIdleTimer } = parts;
  const { config, logger, version } = options;
  const { now, clock } = clocks;
  const { sessions, watches, rke } = services;
  const { authorize, sessionsOf, watchOf, rkeOf } = createAuthorization({
    sessions,
    rke,
    watch: watches.watch,
    checkStanding: (caller) => connections?.checkStanding(caller),
    endOf: (caller) => connections?.endOf(caller),
    logger,
  });
  const callers = createCallers({ connections, authorize });
  const isTrustedProxy = createNetworkRule(config.trustedProxies);
  const withoutHeader = createSparseLog<null>({
    clock,
    emit: (address, _, count) =>
      logger.warn(
        { address, count },
        "a connection of a network in LATCHKEY_PROXY_PROTOCOL began with no PROXY header, and was ended",
      ),
  });
  const common = {
    places: openPlaces({
      limits: limits.connectionLimits,
      ...{ connections, isTrustedProxy, metrics, logger, clock },
    }),
    placeObserver: metrics.placeObserver,
    proxyHeaders: {
      areSentBy: createNetworkRule(config.proxyProtocol),
      onMissing: (ip: string) => withoutHeader.note(ip, null),
    },
    calls,
    admission: gate.admission,
    strangers: gate.strangers,
    observer: metrics.callObserver,
    budget: createByteBudget(),
    unread,
    isPublic: (part: PublicPart) => !connections || config.publicParts.includes(part),
    tls: listeners.tls,
  };
  const sessionRpcs = createSessionRpcs({
    ...{ sessionsOf, watchOf, callers },
    devices: createDevices(),
  });
  const rkeRpcs = createRkeRpcs({ rkeOf });
  const { maxConnectionAge } = config;
  await listeners.open("grpc", config.grpc, (address) =>
    listenGrpc({
      ...common,
      ...{ address, sessionRpcs, rkeRpcs, maxConnectionAge, clock },
      callOrigins: createCallOrigins(connections, "grpc", isTrustedProxy),
      startIdleTimer,
    }),
  );
  await listeners.open("http", config.http, (address) =>
    listenHttp({
      ...common,
      ...{ address, version, sessionsOf, callers, sessionRpcs, rkeOf, rkeRpcs, metrics, now },
      hosts: config.httpHosts,
      origins: config.httpOrigins,
      callOrigins: createCallOrigins(connections, "http", isTrustedProxy),
      connectionAges: createConnectionAges({
        ...{ maxAge: maxConnectionAge, clock, random: Math.random },
      }),
      logger: strangerLog,
      ping: services.ping,
    }),
  );
  await listeners.open("command", config.command, (address) =>
    listenCommand({
      ...common,
      ...{ address, connections, logger, now },
      startedAt: now(),
      limits: limits.commandLimits,
      counts: () => ({
        sessions: services.sessionCount(),
        callers: connections?.list().length ?? 0,
      }),
    }),
  );
}
