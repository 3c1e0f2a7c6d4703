import { randomBytes } from "node:crypto";
import type { Logger } from "pino";
import { v7 as uuidv7 } from "uuid";
import { rest } from "../lib/paced-batches.js";
import { createRandomSource } from "../lib/random.js";
import { createSparseLog } from "../lib/sparse-log.js";
import { createKeyring } from "../rke/keyring.js";
import { allocateLocked } from "../rke/locked-memory.js";
import { openKeyExchange } from "../rke/open.js";
import { createRke, type Rke } from "../services/rke/rke.js";
import { createSessions, type Sessions } from "../services/sessions/sessions.js";
import { startSweeper } from "../services/sweeper.js";
import { createTurns } from "../services/turns.js";
import { createWatches, type Watches } from "../services/watches/watches.js";
import { openStore } from "../stores/index.js";
import type { Metrics } from "../telemetry/metrics.js";
import type { Clocks } from "./clocks.js";
import type { StartOptions } from "./options.js";

/** Milliseconds between sweeps: watchers are told of a session's expiry within a second. */
const SWEEP_INTERVAL = 250;
/** Milliseconds between sweeps of the keyring. */
const KEY_SWEEP_INTERVAL = 1_000;
/** A burst of 5,000 sessions of 12 KiB each may wait for the disk. */
const WAITING = {
  // What it takes a few tens of milliseconds to write.
  overloadWrites: 512,
  writes: 8_192,
  bytes: 64 * 2 ** 20,
};

/** The use cases over an open store, and what works in the background. */
export interface Services {
  readonly sessions: Sessions;
  readonly watches: Watches;
  readonly rke: Rke;
  /** How many sessions the store holds. */
  sessionCount(): number;
  /** Rejects if the store cannot serve. */
  ping(): Promise<void>;
  /** Ends the work in the background and all watches. */
  stop(): void;
  /** Forgets the keys, and closes the store. */
  close(): Promise<void>;
}

/** Opens the store and the keyring, and the use cases over them. Throws if the store cannot open. */
export function openServices(
  options: Pick<StartOptions, "config" | "logger" | "keyExchange" | "onFatal">,
  { now, removalTime, clock }: Clocks,
  metrics: Metrics,
): Services {
  const { config, logger } = options;
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
  const exchange =
    options.keyExchange ??
    openKeyExchange(config.rke, {
      now,
      randomBytes: random,
      random: Math.random,
      observer: metrics.shareObserver,
      logger,
    });
  const rke = createRke({
    keyring,
    exchange,
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
  return {
    sessions,
    watches,
    rke,
    sessionCount: () => store.stats().sessions,
    ping: () => store.ping(),
    stop() {
      sweeper.stop();
      keySweeper.stop();
    },
    async close() {
      keyring.close();
      await store.close();
    },
  };
}

/** Returns what logs now and then that calls meet damage, with how many did since. */
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
