import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Driver, Steady } from "../drivers/driver.js";
import type { Measurement } from "../load/generators.js";
import { processorMicros } from "../measure/processor-time.js";
import { SERVERS, type Server, type ServerName, type Site } from "../servers/servers.js";
import { checkCalls, countCalls } from "./call-counts.js";
import type { Trial } from "./comparisons.js";

const WARM_UP_SECONDS = 2;

export interface RoundOptions {
  readonly trial: Trial;
  readonly server: ServerName;
  readonly seconds: number;
  readonly connections: number;
  /** Calls a second of the steady load. */
  readonly rate: number;
  readonly sessions: number;
  readonly bytes: number;
  readonly root: string;
  readonly store: Site["store"];
  readonly flags?: Site["flags"];
  readonly signal: AbortSignal;
}

/** What a round found: of as many calls as were answered and, where it can be, at a steady rate. */
export interface Measured extends Measurement {
  /** Microseconds of the processors that the server's processes used for each call. */
  readonly cpuMicros: number;
  readonly steady?: Steady;
}

/**
 * Measures one server once, in fresh processes on a fresh folder, all of which
 * are gone afterwards. Rejects if a call was not carried out.
 */
export async function runRound(options: RoundOptions): Promise<Measured> {
  const { root, store, flags, signal } = options;
  const dir = await mkdtemp(join(root, "dist", "bench-"));
  try {
    const server = await SERVERS[options.server]({
      ...{ root, dir, store, signal },
      ...(flags && { flags }),
    });
    try {
      return await measure(options, server, dir);
    } catch (error) {
      // If it has ended, that is why.
      await server.checkRunning();
      throw error;
    } finally {
      await server.stop();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function measure(options: RoundOptions, server: Server, dir: string): Promise<Measured> {
  const { trial, seconds, connections, sessions, bytes, signal } = options;
  const driver = await trial.openDriver({ server, dir, sessions, bytes });
  const carriedOut = await driver.carriedOut();
  const counts = await callsOf(server, driver);

  const load = { connections, signal };
  const warmUp = await driver.run({ ...load, seconds: Math.min(seconds, WARM_UP_SECONDS) });
  const pids = [server.pid, ...(server.helpers ?? [])].filter((pid) => pid !== undefined);
  const before = processorMicros(pids);
  const run = await driver.run({ ...load, seconds });
  const measured = { ...run, cpuMicros: (processorMicros(pids) - before) / run.calls };

  // After the others, so that the server is as warm in all of its rounds.
  const steady = await driver.runSteady?.({ ...load, seconds }, options.rate);

  const after = await callsOf(server, driver);
  const calls = warmUp.calls + measured.calls + (steady?.count ?? 0);
  if (measured.calls === 0) throw new Error("the load tool saw no call answered");
  if (counts && after) checkCalls(counts, after, calls);
  const grown = (await driver.carriedOut()) - carriedOut;
  if (!(grown >= calls)) {
    throw new Error(`the load tool saw ${calls} calls, the server carried out ${grown}`);
  }
  return steady ? { ...measured, steady } : measured;
}

async function callsOf({ http, hasMetrics, headers }: Server, { transport, method }: Driver) {
  return hasMetrics && http !== undefined
    ? countCalls(http, transport, method, headers)
    : undefined;
}
