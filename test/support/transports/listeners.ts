import { randomBytes, randomUUID } from "node:crypto";
import { pino } from "pino";
import type { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import type { SessionStore } from "../../../src/domain/sessions/session-store.js";
import { createKeyring } from "../../../src/rke/keyring.js";
import { allocateLocked } from "../../../src/rke/locked-memory.js";
import { createAuthorization } from "../../../src/services/access/authorization.js";
import { createCallers } from "../../../src/services/access/callers.js";
import { createRke } from "../../../src/services/rke/rke.js";
import { createDevices } from "../../../src/services/sessions/devices.js";
import { createSessions } from "../../../src/services/sessions/sessions.js";
import type { OpenWatchesOptions } from "../../../src/services/watches/open-watches.js";
import { createWatches } from "../../../src/services/watches/watches.js";
import { createMemoryStore } from "../../../src/stores/memory/store.js";
import { createMetrics } from "../../../src/telemetry/metrics.js";
import { createAdmission } from "../../../src/transports/call/admission.js";
import { type ByteBudget, createByteBudget } from "../../../src/transports/call/byte-budget.js";
import { createCallOrigins } from "../../../src/transports/call/call-origin.js";
import { createCalls } from "../../../src/transports/call/calls.js";
import type { LoadGate } from "../../../src/transports/call/load-gate.js";
import {
  createUnreadAnswers,
  type UnreadAnswers,
} from "../../../src/transports/call/unread-answers.js";
import { listenGrpc } from "../../../src/transports/grpc/server.js";
import { type HttpOptions, listenHttp } from "../../../src/transports/http/server.js";
import { createConnectionPlaces } from "../../../src/transports/net/connection-places.js";
import { startIdleTimer } from "../../../src/transports/net/idle-timer.js";
import type { Listener } from "../../../src/transports/net/listener.js";
import type { Tls } from "../../../src/transports/net/tls.js";
import { createRkeRpcs } from "../../../src/transports/rpc/rke-rpcs.js";
import type { Rpcs } from "../../../src/transports/rpc/rpcs.js";
import { createSessionRpcs } from "../../../src/transports/rpc/session-rpcs.js";
import { createFakeExchange } from "../rke/fake-exchange.js";
import { NO_PROXY_HEADERS } from "./proxy-headers.js";
import type { Addresses } from "./server.js";
import { NOW } from "./server.js";

export type SessionRpcs = Rpcs<typeof SessionService>;

export interface Listeners extends Addresses {
  readonly listeners: readonly Listener[];
  /** The lines that were logged, at warn or above. */
  readonly log: readonly string[];
}

export interface ListenersOptions {
  /** What the HTTP listener is bound to, and whom it lets in; loopback alone if absent. */
  readonly http?: Partial<Pick<HttpOptions, "address" | "hosts" | "origins">>;
  /** The store under the use cases; one in memory if absent. */
  readonly store?: SessionStore;
  /** What the typed wires call instead of the use cases. */
  readonly rpcs?: (usual: SessionRpcs) => SessionRpcs;
  /** Null: no TLS. */
  readonly tls?: Tls | null;
  /** What decides which calls are taken up; if absent, all are. */
  readonly gate?: LoadGate;
  /** What requests may hold of memory. */
  readonly budget?: ByteBudget;
  /** What answers to streams that nobody reads may hold, and for how long. */
  readonly unread?: UnreadAnswers;
  /** How many watches may be open. */
  readonly openWatches?: OpenWatchesOptions;
  /** By which gRPC calls have their time; monotonic milliseconds. */
  readonly clock?: () => number;
}

/** Runs `body` with both listeners over parts of the test's choosing, and closes them. */
export async function withListeners(
  {
    http: httpOptions = {},
    store = createMemoryStore({ swept: () => {} }),
    rpcs = (usual) => usual,
    tls = null,
    gate = { admits: () => true },
    budget = createByteBudget(),
    unread = createUnreadAnswers({ startIdleTimer, onCut: () => {} }),
    openWatches = {},
    clock = () => performance.now(),
  }: ListenersOptions,
  body: (listeners: Listeners) => Promise<void>,
): Promise<void> {
  const log: string[] = [];
  const metrics = createMetrics();
  const logger = pino({ level: "warn" }, { write: (line) => log.push(line) });
  const calls = createCalls({
    observer: metrics.callObserver,
    logger: logger,
    clock: () => performance.now(),
  });
  const now = () => NOW;
  const silent = { info: () => {}, warn: () => {} };
  const sessions = createSessions({
    store,
    now,
    randomBytes,
    newSessionId: () => randomUUID(),
    logger: silent,
  });
  const rke = createRke({
    keyring: createKeyring({
      slots: 16,
      cachedKeys: 16,
      allocate: allocateLocked,
      warn: silent.warn,
    }),
    exchange: createFakeExchange(),
    now,
    clock: () => performance.now(),
    randomBytes,
    sessionTtl: 3_600_000,
    keyCacheTtl: 0,
    observer: metrics.rkeObserver,
  });
  const { watch } = createWatches({
    ...{ store, now, open: openWatches },
    observer: metrics.watchObserver,
  });
  const { authorize, sessionsOf, watchOf, rkeOf } = createAuthorization({
    ...{ sessions, rke, watch, checkStanding: () => {} },
    logger: silent,
  });
  const callers = createCallers({ connections: null, authorize });
  const devices = createDevices();
  const sessionRpcs = rpcs(createSessionRpcs({ sessionsOf, watchOf, callers, devices }));
  const rkeRpcs = createRkeRpcs({ rkeOf });
  const address = "127.0.0.1:0";
  const ping = () => store.ping();
  const admission = createAdmission({
    gate,
    observer: metrics.callObserver,
    after: (milliseconds, work) => void setTimeout(work, milliseconds).unref(),
  });
  // Nobody is a stranger here: authentication is off.
  const strangers = (_owner: unknown, work: () => void) => {
    work();
    return true;
  };
  const open = {
    admission,
    strangers,
    places: createConnectionPlaces({
      limits: { connections: 8_192, perAddress: 4_096 },
      hasReserve: false,
      byIdleness: true,
      isShared: () => false,
      onLimit: () => {},
    }),
    observer: metrics.callObserver,
    budget,
    unread,
    isPublic: () => true,
    tls,
    proxyHeaders: NO_PROXY_HEADERS,
  };
  const grpc = await listenGrpc({
    address,
    sessionRpcs,
    rkeRpcs,
    calls,
    callOrigins: createCallOrigins(null, "grpc", () => false),
    maxConnectionAge: null,
    clock,
    startIdleTimer,
    ...open,
  });
  const http = await listenHttp({
    address,
    hosts: [],
    origins: [],
    ...httpOptions,
    version: "0.0.0-test",
    sessionsOf,
    callers,
    sessionRpcs,
    rkeOf,
    rkeRpcs,
    calls,
    callOrigins: createCallOrigins(null, "http", () => false),
    connectionAges: { add: () => {}, isOver: () => false },
    ...open,
    metrics,
    logger: logger,
    now,
    ping,
  });
  try {
    await body({ grpc: grpc.address, http: http.address, listeners: [grpc, http], log });
  } finally {
    await Promise.all([grpc.close(0), http.close(0)]);
  }
}
