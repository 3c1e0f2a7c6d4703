import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import { v7 as uuidv7 } from "uuid";
import type { Config } from "../config/config.js";
import { fitLimits, readOpenFiles } from "../config/open-files.js";
import { describeFault, LatchkeyError } from "../domain/error.js";
import type { KeyExchange } from "../domain/rke/key-exchange.js";
import { createNetworkRule } from "../lib/network.js";
import { rest } from "../lib/paced-batches.js";
import { createRandomSource } from "../lib/random.js";
import { createSparseLog } from "../lib/sparse-log.js";
import { createSteadyClock } from "../lib/steady-clock.js";
import { createKeyring } from "../rke/keyring.js";
import { allocateLocked } from "../rke/locked-memory.js";
import { openKeyExchange } from "../rke/open.js";
import { createAuthorization } from "../services/access/authorization.js";
import { createCallers } from "../services/access/callers.js";
import { createRke } from "../services/rke/rke.js";
import { createDevices } from "../services/sessions/devices.js";
import { createSessions } from "../services/sessions/sessions.js";
import { startSweeper } from "../services/sweeper.js";
import { createTurns } from "../services/turns.js";
import { createWatches } from "../services/watches/watches.js";
import { openStore } from "../stores/index.js";
import { createMetrics } from "../telemetry/metrics.js";
import { createStrangerLog } from "../telemetry/stranger-log.js";
import { createAdmission } from "../transports/call/admission.js";
import { createByteBudget } from "../transports/call/byte-budget.js";
import { createCallOrigins } from "../transports/call/call-origin.js";
import { createCalls } from "../transports/call/calls.js";
import { createLoadGate, type LoadGate } from "../transports/call/load-gate.js";
import { createPace } from "../transports/call/pace.js";
import { createUnreadAnswers } from "../transports/call/unread-answers.js";
import { listenCommand } from "../transports/command/listener.js";
import { listenGrpc } from "../transports/grpc/server.js";
import { listenHttp } from "../transports/http/server.js";
import { createConnectionAges } from "../transports/net/connection-age.js";
import { createConnectionPlaces } from "../transports/net/connection-places.js";
import { type StartIdleTimer, startIdleTimer } from "../transports/net/idle-timer.js";
import type { Listener, PublicPart } from "../transports/net/listener.js";
import { readTls, watchTls } from "../transports/net/tls.js";
import { createRkeRpcs } from "../transports/rpc/rke-rpcs.js";
import { createSessionRpcs } from "../transports/rpc/session-rpcs.js";
import { type Access, openAccess } from "./access.js";

/** Milliseconds between sweeps: watchers are told of a session's expiry within a second. */
const SWEEP_INTERVAL = 250;
/** Milliseconds between sweeps of the keyring. */
const KEY_SWEEP_INTERVAL = 1_000;
/** Milliseconds between looks for sums of left out lines that are due. */
const LOG_FLUSH_INTERVAL = 1_000;
/** A burst of 5,000 sessions of 12 KiB each may wait for the disk. */
const WAITING = {
  // What it takes a few tens of milliseconds to write.
  overloadWrites: 512,
  writes: 8_192,
  bytes: 64 * 2 ** 20,
};
/** Milliseconds that accepted calls may take to finish at a stop. */
const GRACE = 10_000;

/**
 * What callers without credentials take of the event loop: 2,000 answers a second, a tenth of it.
 * What waits is answered within two seconds.
 */
const STRANGERS = { tick: 5, perTick: 10, maxWaiting: 4_096 };

const after = (milliseconds: number, work: () => void) =>
  void setTimeout(work, milliseconds).unref();

type ListenerName = "grpc" | "http" | "command";

export interface StartOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly version: string;
  /** The wall clock, if not the system's: milliseconds since 1970. */
  readonly now?: () => number;
  /** The monotonic clock that tells when the wall clock jumps; if a wall clock is given, that. */
  readonly monotonic?: () => number;
  /** What makes RKE keys, if not exchanges over the network. */
  readonly keyExchange?: KeyExchange;
  /** What ends streams in which nothing moves, if not the system's timers. */
  readonly startIdleTimer?: StartIdleTimer;
  /** What decides which calls are taken up, if not the load. */
  readonly loadGate?: LoadGate;
  /** How many files the process may have open, if not what the system says. */
  readonly openFiles?: number;
  /** How many lines of the log were lost to its reader, if it can lose any. */
  readonly lostLines?: () => number;
  /** Called once if the server can't go on, to be closed and started anew. */
  readonly onFatal: (error: unknown) => void;
}

export interface Server {
  /** Where the listeners that are on listen. */
  readonly addresses: { readonly [name in ListenerName]?: string };
  /** Reads the TLS files again, for connections to come. */
  reloadTls(): void;
  /** Stops: says so, lets accepted calls finish, closes the store. May be called again. */
  close(): Promise<void>;
}

/** Starts a server; rejects, with nothing left running, if any part of it cannot start. */
export async function start(options: StartOptions): Promise<Server> {
  disarmProto();
  const { config, logger, version, now: wallClock = Date.now } = options;
  const clock = () => performance.now();
  const { now, removalTime } = createSteadyClock({
    now: wallClock,
    clock: options.monotonic ?? options.now ?? clock,
    onJump: (milliseconds) =>
      logger.warn(
        { milliseconds },
        "the system's clock jumped: until it has agreed with the monotonic clock for 5 minutes, time is told by that, and nothing that expired is removed",
      ),
    onAgreement: (milliseconds) =>
      logger.info({ milliseconds }, "the system's clock is believed again"),
  });
  const limits = fitLimits(config, options.openFiles ?? readOpenFiles());
  for (const warning of config.warnings) logger.warn(warning);
  if (limits.warning !== null) logger.warn(limits.warning);

  const metrics = createMetrics();
  if (options.lostLines) metrics.watchLog(options.lostLines);
  const store = openStore(config.store, {
    observer: metrics.storeObserver,
    onDamage: createDamageLog(logger, clock),
    waiting: config.turnCalls === null ? null : WAITING,
    clock,
    cacheBytes: config.cacheBytes,
    quotas: config.quotas,
    onFatal: options.onFatal,
  });
  metrics.watchStore(() => store.stats());
  const random = createRandomSource(randomBytes);
  const takeTurn = createTurns({ clock, pause: rest });
  const sessions = createSessions({
    store,
    now,
    randomBytes: random,
    newSessionId: (msecs) => uuidv7({ msecs, random: random(16) }),
    logger,
    takeTurn,
  });
  const watches = createWatches({ store, now, observer: metrics.watchObserver, takeTurn });
  const sweeper = startSweeper({
    store,
    removalTime,
    clock,
    interval: SWEEP_INTERVAL,
    onError: (err) => logger.error({ err }, "sweep failed"),
  });
  const { maxSessions, sessionTtl, keyCacheTtl } = config.rke;
  const keyring = createKeyring({
    slots: maxSessions,
    cachedKeys: keyCacheTtl === 0 ? 0 : maxSessions,
    allocate: allocateLocked,
    warn: (message) => logger.warn(message),
  });
  metrics.watchKeyring(() => keyring.stats());
  const rke = createRke({
    keyring,
    exchange:
      options.keyExchange ??
      openKeyExchange(config.rke, {
        now,
        randomBytes: random,
        random: Math.random,
        observer: metrics.shareObserver,
        logger,
      }),
    now,
    clock,
    randomBytes: random,
    sessionTtl: sessionTtl * 1000,
    keyCacheTtl: keyCacheTtl * 1000,
    observer: metrics.rkeObserver,
  });
  const keySweeper = startSweeper({
    store: keyring,
    removalTime,
    clock,
    interval: KEY_SWEEP_INTERVAL,
    onError: (err) => logger.error({ err }, "sweep of keys failed"),
  });
  const calls = createCalls({ observer: metrics.callObserver, logger, clock });
  let judging: NodeJS.Timeout | undefined;
  const admission = createAdmission({
    gate:
      options.loadGate ??
      (config.turnCalls === null
        ? { admits: () => true }
        : createLoadGate({
            turnCalls: config.turnCalls,
            clock,
            idle: () => performance.nodeTiming.idleTime,
            spent() {
              const { user, system } = process.cpuUsage();
              return (user + system) / 1000;
            },
            every: (milliseconds, work) => {
              judging = setInterval(work, milliseconds).unref();
            },
            afterTurn: setImmediate,
          })),
    observer: metrics.callObserver,
    after,
  });
  const strangers = createPace({ ...STRANGERS, after });

  const budget = createByteBudget();
  const strangerLog = createStrangerLog({ logger, clock, onLeftOut: metrics.logObserver.leftOut });
  const flushing = setInterval(strangerLog.flush, LOG_FLUSH_INTERVAL).unref();
  const idleTimers = options.startIdleTimer ?? startIdleTimer;
  const unread = createUnreadAnswers({
    startIdleTimer: idleTimers,
    onCut: metrics.watchObserver.cut,
  });
  metrics.watchWatches({
    open: watches.open,
    caughtUp: watches.count,
    unreadBytes: unread.held,
  });

  const listeners = new Map<ListenerName, Listener>();
  let access: Access | null = null;
  let unwatchTls = () => {};
  const stop = async (pauseTime: number) => {
    for (const listener of listeners.values()) listener.drain();
    // The server is a whole one until balancers have turned away from it.
    if (pauseTime > 0) await pause(pauseTime);
    sweeper.stop();
    keySweeper.stop();
    clearInterval(judging);
    clearInterval(flushing);
    unwatchTls();
    watches.close();
    await Promise.all([...listeners.values()].map((listener) => listener.close(GRACE)));
    strangerLog.flush(true);
    keyring.close();
    access?.close();
    await store.close();
  };
  const listen = async (
    name: ListenerName,
    address: string | null,
    open: (address: string) => Promise<Listener>,
  ) => {
    if (address === null) return;
    try {
      listeners.set(name, await open(address));
    } catch (cause) {
      const message = `LATCHKEY_${name.toUpperCase()} cannot listen on ${address}: ${describeFault(cause)}`;
      throw new LatchkeyError("unavailable", message, { cause });
    }
  };
  const reloadTls = () => {
    if (!config.tls) return;
    try {
      const changed = readTls(config.tls);
      for (const listener of listeners.values()) listener.reloadTls(changed);
      logger.info("TLS files read again");
    } catch (err) {
      logger.error({ err }, "TLS files not taken: the ones read before stay in use");
    }
  };
  try {
    access =
      config.auth === "required"
        ? await openAccess(config.store, {
            logger,
            failureLog: strangerLog,
            now: wallClock,
            clock,
          })
        : null;
    const connections = access?.connections ?? null;
    const { authorize, sessionsOf, watchOf, rkeOf } = createAuthorization({
      sessions,
      rke,
      watch: watches.watch,
      checkStanding: (caller) => connections?.checkStanding(caller),
      endOf: (caller) => connections?.endOf(caller),
      logger,
    });
    const callers = createCallers({ connections, authorize });
    const withoutHeader = createSparseLog<null>({
      clock,
      emit: (address, _, count) =>
        logger.warn(
          { address, count },
          "a connection of a network in LATCHKEY_PROXY_PROTOCOL began with no PROXY header, and was ended",
        ),
    });
    const isTrustedProxy = createNetworkRule(config.trustedProxies);
    const limitLog = createSparseLog<string>({
      clock,
      emit(kind, ip, count) {
        const [listener, limit] = kind.split(" ");
        logger.warn({ listener, limit, ip, count }, "a limit of connections was met");
      },
    });
    const { placeObserver } = metrics;
    const places = createConnectionPlaces({
      limits: limits.connectionLimits,
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
    const common = {
      places,
      placeObserver,
      proxyHeaders: {
        areSentBy: createNetworkRule(config.proxyProtocol),
        onMissing: (ip: string) => withoutHeader.note(ip, null),
      },
      calls,
      admission,
      strangers,
      observer: metrics.callObserver,
      budget,
      unread,
      isPublic: (part: PublicPart) => !connections || config.publicParts.includes(part),
      tls: config.tls && readTls(config.tls),
    };
    if (config.tls) unwatchTls = watchTls(config.tls, reloadTls);
    const sessionRpcs = createSessionRpcs({
      ...{ sessionsOf, watchOf, callers },
      devices: createDevices(),
    });
    const rkeRpcs = createRkeRpcs({ rkeOf });
    await listen("grpc", config.grpc, (address) =>
      listenGrpc({
        ...common,
        address,
        sessionRpcs,
        rkeRpcs,
        callOrigins: createCallOrigins(connections, "grpc", isTrustedProxy),
        maxConnectionAge: config.maxConnectionAge,
        clock,
        startIdleTimer: idleTimers,
      }),
    );
    await listen("http", config.http, (address) =>
      listenHttp({
        ...common,
        address,
        version,
        hosts: config.httpHosts,
        origins: config.httpOrigins,
        callOrigins: createCallOrigins(connections, "http", isTrustedProxy),
        connectionAges: createConnectionAges({
          maxAge: config.maxConnectionAge,
          clock,
          random: Math.random,
        }),
        sessionsOf,
        callers,
        sessionRpcs,
        rkeOf,
        rkeRpcs,
        metrics,
        logger: strangerLog,
        now,
        ping: () => store.ping(),
      }),
    );
    await listen("command", config.command, (address) =>
      listenCommand({
        ...common,
        address,
        connections,
        logger,
        startedAt: now(),
        now,
        limits: limits.commandLimits,
        counts: () => ({
          sessions: store.stats().sessions,
          callers: connections?.list().length ?? 0,
        }),
      }),
    );
  } catch (error) {
    await stop(0);
    throw error;
  }
  for (const [listener, { address }] of listeners) {
    logger.info({ listener, address }, `${listener} listens on ${address}`);
  }

  let stopping: Promise<void> | undefined;
  return {
    addresses: Object.fromEntries([...listeners].map(([name, { address }]) => [name, address])),
    reloadTls,
    close() {
      stopping ??= stop(config.drain * 1_000);
      return stopping;
    },
  };
}

/** What logs now and then that calls meet damage, with how many did since. */
function createDamageLog(logger: Logger, clock: () => number): (cause: unknown) => void {
  const damageLog = createSparseLog<unknown>({
    clock,
    emit: (_, err, count) =>
      logger.error(
        { err, count },
        "a page of the database is damaged: calls that need it fail, and others go on. Stop the server and restore a backup",
      ),
  });
  return (cause) => damageLog.note("damage", cause);
}

/**
 * Makes `__proto__` an ordinary key in this process, as Node's own
 * --disable-proto=delete does: sessions may have data of that name, which the
 * protobuf runtime would otherwise lose, and no key can reach a prototype.
 */
function disarmProto(): void {
  Reflect.deleteProperty(Object.prototype, "__proto__");
}
