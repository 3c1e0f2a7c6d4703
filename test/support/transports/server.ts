import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { Config } from "../../../src/config/config.js";
import type { LogLevel } from "../../../src/config/settings.js";
import { start } from "../../../src/server/start.js";
import type { StartIdleTimer } from "../../../src/transports/net/idle-timer.js";
import { createConfig } from "../config.js";
import { createFakeExchange, type FakeExchange } from "../rke/fake-exchange.js";

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;

/** The instant (ms) at which a server's clock starts; far from the real time, so that
 * code which asks another clock is found out. */
export const NOW = Date.UTC(2040, 1, 29, 12);

/** A clock that stands still until it is moved. Milliseconds since 1970. */
export interface Clock {
  readonly now: () => number;
  /** Milliseconds by which it was advanced, whatever it jumped. */
  readonly monotonic: () => number;
  advance(milliseconds: number): void;
  /** Sets it ahead, or back, while no time passes. */
  jump(milliseconds: number): void;
}

export function createClock(): Clock {
  let passed = 0;
  let jumped = 0;
  return {
    now: () => NOW + passed + jumped,
    monotonic: () => passed,
    advance(milliseconds) {
      passed += milliseconds;
    },
    jump(milliseconds) {
      jumped += milliseconds;
    },
  };
}

/** Idle timers that run out when the test lets time pass, and not by themselves. */
export interface Timers {
  readonly start: StartIdleTimer;
  /** How many have neither run out nor been stopped. */
  readonly count: () => number;
  pass(milliseconds: number): void;
}

export function createTimers(): Timers {
  const running = new Set<{ left: number; readonly work: () => void }>();
  return {
    start(milliseconds, work) {
      const timer = { left: milliseconds, work };
      running.add(timer);
      return {
        restart: () => {
          timer.left = milliseconds;
        },
        stop: () => {
          running.delete(timer);
        },
      };
    },
    count: () => running.size,
    pass(milliseconds) {
      // Without those that begin meanwhile.
      for (const timer of [...running]) {
        if (!running.has(timer)) continue;
        timer.left -= milliseconds;
        if (timer.left > 0) continue;
        running.delete(timer);
        timer.work();
      }
    },
  };
}

export const STORES = ["memory", "sqlite"] as const;
export type StoreKind = (typeof STORES)[number];

/** Where a server's listeners listen, each `host:port`. */
export interface Addresses {
  readonly grpc: string;
  readonly http: string;
}

export interface TestServer extends Addresses {
  readonly command: string;
  /** The database file, if its store is SQLite. */
  readonly path: string;
  readonly clock: Clock;
  /** Those of its streams. */
  readonly timers: Timers;
  /** What it makes RKE keys with. */
  readonly exchange: FakeExchange;
  /** The lines that it logged. */
  readonly log: readonly string[];
  close(): Promise<void>;
}

/** Starts a server on free ports over a new store, as `latchkey serve` does. */
export async function startServer(
  store: StoreKind = "memory",
  logLevel: LogLevel = "silent",
  settings: Partial<Config> = {},
): Promise<TestServer> {
  const clock = createClock();
  const timers = createTimers();
  const exchange = createFakeExchange();
  const log: string[] = [];
  const folder = mkdtempSync(join(tmpdir(), "latchkey-transports-"));
  const path = join(folder, "latchkey.db");
  const server = await start({
    config: createConfig({
      ...(store === "sqlite" && { store: { scheme: "sqlite", path } }),
      logLevel,
      ...settings,
    }),
    logger: pino({ level: logLevel }, { write: (line) => log.push(line) }),
    version: "0.0.0-test",
    now: clock.now,
    monotonic: clock.monotonic,
    keyExchange: exchange,
    startIdleTimer: timers.start,
    onFatal: (error) => {
      throw error;
    },
  });
  const { grpc, http, command } = server.addresses;
  if (grpc === undefined || http === undefined || command === undefined) {
    throw new Error("a listener is off");
  }
  return {
    grpc,
    http,
    command,
    path,
    clock,
    timers,
    exchange,
    log,
    async close() {
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Runs `body` with a new server and closes it, whatever happens. */
export async function withServer(
  store: StoreKind,
  body: (server: TestServer) => Promise<void>,
  settings: Parameters<typeof startServer>[2] = {},
): Promise<void> {
  const server = await startServer(store, undefined, settings);
  try {
    await body(server);
  } finally {
    await server.close();
  }
}
