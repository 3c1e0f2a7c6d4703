import { randomBytes } from "node:crypto";
import type { Logger } from "pino";
import { v7 as uuidv7 } from "uuid";
import type { Config } from "./config.js";
import { LatchkeyError } from "./domain/error.js";
import { createRandomSource } from "./random.js";
import { createSessions } from "./services/sessions.js";
import { startSweeper } from "./services/sweeper.js";
import { openStore } from "./stores/index.js";
import { createCalls } from "./transports/calls.js";
import { listenGrpc } from "./transports/grpc/server.js";
import { listenHttp } from "./transports/http/server.js";
import type { Listener } from "./transports/listener.js";
import { createMetrics } from "./transports/metrics.js";
import { createSessionRpcs } from "./transports/session-rpcs.js";

/** Milliseconds between sweeps, and that accepted calls may take to finish at a stop. */
const SWEEP_INTERVAL = 1_000;
const GRACE = 10_000;

export interface StartOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly version: string;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Called once if the server can't go on, to be closed and started anew. */
  readonly onFatal: (error: unknown) => void;
}

export interface Server {
  /** Where the listeners that are on listen. */
  readonly addresses: { readonly grpc?: string; readonly http?: string };
  /** Stops: says so, lets accepted calls finish, closes the store. May be called again. */
  close(): Promise<void>;
}

/** Starts a server; rejects, with nothing left running, if any part of it cannot start. */
export async function start(options: StartOptions): Promise<Server> {
  disarmProto();
  const { config, log, version, now = Date.now } = options;
  const clock = () => performance.now();
  for (const warning of config.warnings) log.warn(warning);

  const metrics = createMetrics();
  const store = openStore(config.store, {
    observer: metrics.storeObserver,
    clock,
    onFatal: options.onFatal,
  });
  metrics.watchStore(() => store.stats());
  const random = createRandomSource(randomBytes);
  const sessions = createSessions({
    store,
    now,
    randomBytes: random,
    newSessionId: (msecs) => uuidv7({ msecs, random: random(16) }),
  });
  const sweeper = startSweeper({
    store,
    now,
    interval: SWEEP_INTERVAL,
    onError: (err) => log.error({ err }, "sweep failed"),
  });
  const calls = createCalls({ observer: metrics.callObserver, log, clock });
  const sessionRpcs = createSessionRpcs(sessions);

  const listeners = new Map<"grpc" | "http", Listener>();
  const stop = async () => {
    sweeper.stop();
    for (const listener of listeners.values()) listener.drain();
    await Promise.all([...listeners.values()].map((listener) => listener.close(GRACE)));
    await store.close();
  };
  const listen = async (
    name: "grpc" | "http",
    address: string | null,
    open: (address: string) => Promise<Listener>,
  ) => {
    if (address === null) return;
    try {
      listeners.set(name, await open(address));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `LATCHKEY_${name.toUpperCase()} cannot listen on ${address}: ${reason}`;
      throw new LatchkeyError("unavailable", message, { cause });
    }
  };
  try {
    await listen("grpc", config.grpc, (address) => listenGrpc({ address, sessionRpcs, calls }));
    const ping = () => store.ping();
    const pages = { hosts: config.httpHosts, origins: config.httpOrigins };
    const http = { ...pages, version, sessions, sessionRpcs, calls, metrics, now, ping };
    await listen("http", config.http, (address) => listenHttp({ ...http, address }));
  } catch (error) {
    await stop();
    throw error;
  }
  for (const [listener, { address }] of listeners) {
    log.info({ listener, address }, `${listener} listens on ${address}`);
  }

  let stopping: Promise<void> | undefined;
  return {
    addresses: Object.fromEntries([...listeners].map(([name, { address }]) => [name, address])),
    close() {
      stopping ??= stop();
      return stopping;
    },
  };
}

/**
 * Makes `__proto__` an ordinary key in this process, as Node's own
 * --disable-proto=delete does: sessions may have data of that name, which the
 * protobuf runtime would otherwise lose, and no key can reach a prototype.
 */
function disarmProto(): void {
  Reflect.deleteProperty(Object.prototype, "__proto__");
}
