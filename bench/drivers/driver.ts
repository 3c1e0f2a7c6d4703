import type { Load, Measurement } from "../load/generators.js";
import type { Latencies } from "../report/latencies.js";
import type { Server } from "../servers/servers.js";

/** What a driver may use to prepare itself. */
export interface DriverOptions {
  readonly server: Server;
  /** For its files. */
  readonly dir: string;
  /** How many sessions to prepare. */
  readonly sessions: number;
  /** Of text that their data has beside the usual, over HTTP. */
  readonly bytes: number;
}

/** What was measured of calls that came at a steady rate, their latencies counted from when each
 * was due. */
export interface Steady extends Latencies {
  readonly rate: number;
  /** Milliseconds by which the load itself was late. */
  readonly lateness: Latencies;
}

/** Makes one kind of call on one server, and knows how many the server carried out. */
export interface Driver {
  /** What the server's metrics call it. */
  readonly transport: string;
  readonly method: string;
  /** A number that grows by one with every call carried out. Asking does not change it. */
  readonly carriedOut: () => Promise<number>;
  readonly run: (load: Load) => Promise<Measurement>;
  /** As `run`, but at a steady rate that does not wait for answers; absent where no load can. */
  readonly runSteady?: (load: Load, rate: number) => Promise<Steady>;
}

export const APP = "bench";
export const IP = "192.0.2.44";
/** What every session is created with. */
export const DATA = { name: "Kim Min-su", unread: 12, theme: "dark" };

/** Milliseconds that a call made to prepare or to check may take. */
export const DEADLINE_MS = 30_000;

const AT_ONCE = 32;

/** Creates sessions, each of a user of its own, and answers their tokens. */
export async function prepareTokens(
  sessions: number,
  create: (userId: string) => Promise<string>,
): Promise<string[]> {
  const tokens: string[] = [];
  while (tokens.length < sessions) {
    const count = Math.min(AT_ONCE, sessions - tokens.length);
    const userIds = Array.from({ length: count }, (_, i) => `prepared-${tokens.length + i}`);
    tokens.push(...(await Promise.all(userIds.map(create))));
  }
  return tokens;
}
