import { setTimeout as sleep } from "node:timers/promises";
import type { OpenLoad } from "../load/open-load.js";
import type { Phase, PhaseResult } from "../load/phase.js";
import { createLatencies, type Latencies } from "../report/latencies.js";

/** What a caller with credentials, and one who asks how the server does, meet meanwhile. */
export interface Seen {
  readonly calls: PhaseResult;
  readonly health: Latencies & { readonly failed: number };
}

/** Milliseconds between two looks at the server's health. */
const HEALTH_EVERY = 100;
/** Milliseconds for which an answer is waited for. */
const HEALTH_TIME = 10_000;

/** Runs the phase, and asks for the server's health all along. */
export async function witness(load: OpenLoad, phase: Phase, url: string): Promise<Seen> {
  const latencies = createLatencies();
  let failed = 0;
  let isOver = false;
  const look = async () => {
    while (!isOver) {
      const start = performance.now();
      try {
        const signal = AbortSignal.timeout(HEALTH_TIME);
        const response = await fetch(`${url}/livez`, { signal, keepalive: true });
        await response.arrayBuffer();
        if (!response.ok) failed++;
      } catch {
        failed++;
      }
      const took = performance.now() - start;
      latencies.record(took);
      await sleep(Math.max(0, HEALTH_EVERY - took));
    }
  };
  const looking = look();
  const calls = await load.begin(phase).finally(() => {
    isOver = true;
  });
  await looking;
  return { calls, health: { ...latencies.summary(), failed } };
}

/** The cells of a row: what was seen, beside what was seen in quiet. */
export function cellsOf(name: string, { calls, health }: Seen, quiet: Seen): string[] {
  const { accepted, refused, failures, seconds } = calls;
  const failed = Object.values(failures).reduce((sum, count) => sum + count, 0);
  return [
    name,
    (accepted.count / seconds).toFixed(0),
    accepted.p50.toFixed(2),
    accepted.p99.toFixed(2),
    (accepted.p99 / quiet.calls.accepted.p99).toFixed(2),
    accepted.max.toFixed(0),
    `${refused}`,
    `${failed}`,
    health.p99.toFixed(1),
    `${health.failed}`,
  ];
}

export const HEAD = [
  "calls",
  "answered/s",
  "p50 ms",
  "p99 ms",
  "to quiet",
  "longest ms",
  "refused",
  "failed",
  "health p99 ms",
  "health failed",
];
