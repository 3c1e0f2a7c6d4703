import { pino } from "pino";
import type { Authentication } from "../../../src/services/access/authentication.js";
import { type Connections, createConnections } from "../../../src/services/access/connections.js";
import { createMetrics } from "../../../src/telemetry/metrics.js";
import { createCalls } from "../../../src/transports/call/calls.js";
import {
  type CommandListenerOptions,
  listenCommand,
} from "../../../src/transports/command/listener.js";
import type { Listener } from "../../../src/transports/net/listener.js";
import { type Accounts, createAccounts } from "../plain-accounts.js";
import { type CommandClient, dial, speak } from "./command-client.js";
import { NO_PROXY_HEADERS } from "./proxy-headers.js";
import { type Clock, createClock, NOW } from "./server.js";

export interface CommandServer {
  readonly address: string;
  readonly listener: Listener;
  readonly clock: Clock;
  /** `admin`, an Admin with the password `secret`, and `ann`, a User with the password `pass`. */
  readonly accounts: Accounts;
  readonly connections: Connections;
  /** The lines that it logged, at any level. */
  readonly log: readonly string[];
  /** The metrics in Prometheus' text format. */
  metrics(): Promise<string>;
  /** A new connection, on which nothing was said. */
  connect(): Promise<CommandClient>;
  /** A new connection of `admin`. */
  logIn(): Promise<CommandClient>;
}

export interface CommandServerOptions
  extends Partial<Pick<CommandListenerOptions, "limits" | "tls" | "counts" | "address">> {
  readonly auth?: "off" | "required";
  /** What is called instead of the accounts. */
  readonly authentication?: (usual: Authentication) => Authentication;
}

/** When the listeners' server started: a while ago. */
export const STARTED_AT = NOW - 86_400_000;

/** Runs `body` with a command listener over accounts of its own, and closes all. */
export async function withCommandListener(
  options: CommandServerOptions,
  body: (server: CommandServer) => Promise<void>,
): Promise<void> {
  const { auth = "required", authentication: replace = (usual) => usual, ...given } = options;
  const lines: string[] = [];
  const log = pino({ level: "trace" }, { write: (line) => lines.push(line) });
  const metrics = createMetrics();
  const clock = createClock();
  const accounts = createAccounts();
  accounts.add("admin", "Admin", { password: "secret" });
  accounts.add("ann", "User", { password: "pass" });
  const authentication = replace(accounts.authentication(clock.now));
  const connections = createConnections({ authentication, now: clock.now, logger: log });
  const listener = await listenCommand({
    address: "127.0.0.1:0",
    connections: auth === "off" ? null : connections,
    calls: createCalls({
      observer: metrics.callObserver,
      logger: log,
      clock: () => performance.now(),
    }),
    logger: log,
    startedAt: STARTED_AT,
    now: clock.now,
    counts: () => ({ sessions: 7 }),
    proxyHeaders: NO_PROXY_HEADERS,
    placeObserver: metrics.placeObserver,
    ...given,
  });
  const clients: CommandClient[] = [];
  const connect = async () => {
    const client = speak(await dial(listener.address));
    clients.push(client);
    return client;
  };
  try {
    await body({
      address: listener.address,
      listener,
      clock,
      accounts,
      connections,
      log: lines,
      metrics: metrics.text,
      connect,
      async logIn() {
        const client = await connect();
        const { status, result } = await client.call("auth", "admin", "secret");
        if (status !== "Ok") throw new Error(result);
        return client;
      },
    });
  } finally {
    for (const client of clients) client.close();
    await listener.close(0);
  }
}
