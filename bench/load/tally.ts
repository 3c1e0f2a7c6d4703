import { readProcessorTime, stolenSince } from "../measure/stolen-time.js";
import { createLatencies } from "../report/latencies.js";
import type { Answer } from "./http-connection.js";
import type { Phase, PhaseResult } from "./phase.js";

/** `{}` is what a get of a session that is not there is answered with. */
const EMPTY_BYTES = 2;

export type Tally = ReturnType<typeof createTally>;

/** Counts what becomes of a phase's calls; it began at `start`, by performance.now(). */
export function createTally(phase: Phase, start: number) {
  const accepted = createLatencies();
  const refusals = createLatencies();
  const lateness = createLatencies();
  const windows: { accepted: ReturnType<typeof createLatencies>; refused: number }[] = [];
  const failures: Record<string, number> = {};
  let refusedWithRetryAfter = 0;
  let due = 0;
  let withheld = 0;
  let lastAccepted = start;
  let longestGap = 0;
  const utilization = performance.eventLoopUtilization();
  const processors = readProcessorTime();
  const stolen: number[] = [];
  let sampled = processors;

  const windowOf = (at: number) => {
    const index = Math.floor((at - start) / phase.window);
    while (windows.length <= index) windows.push({ accepted: createLatencies(2), refused: 0 });
    return windows[index];
  };

  /** At the end of each window, by when that is and not by which calls it has. */
  const sampleStolen = (now: number) => {
    const ended = Math.floor((now - start) / phase.window) - 1;
    if (ended < stolen.length) return;
    const time = readProcessorTime();
    const share = stolenSince(sampled, time);
    sampled = time;
    while (stolen.length <= ended) stolen.push(share);
  };

  const noteFailure = (reason: string) => {
    failures[reason] = (failures[reason] ?? 0) + 1;
  };

  return {
    sent(late: number): void {
      due++;
      lateness.record(late);
    },

    withheld(calls: number): void {
      due += calls;
      withheld += calls;
    },

    /** What a call that was due at `at` was answered `now`. */
    answered({ status, bodyBytes, hasRetryAfter }: Answer, at: number, now: number): void {
      const latency = now - at;
      sampleStolen(now);
      const window = windowOf(at);
      if (status === 429 || status === 503) {
        refusals.record(latency);
        if (hasRetryAfter) refusedWithRetryAfter++;
        if (window) window.refused++;
      } else if (status === 200 && bodyBytes > EMPTY_BYTES) {
        accepted.record(latency);
        window?.accepted.record(latency);
        longestGap = Math.max(longestGap, now - lastAccepted);
        lastAccepted = now;
      } else {
        noteFailure(status === 200 ? "no such session" : `HTTP ${status}`);
      }
    },

    failed: noteFailure,

    result(end: number): PhaseResult {
      const at = performance.timeOrigin + start;
      const refused = refusals.summary();
      return {
        name: phase.name,
        at,
        seconds: (end - start) / 1_000,
        due,
        withheld,
        accepted: accepted.summary(),
        refused: refused.count,
        refusals: refused,
        refusedWithRetryAfter,
        failures,
        lateness: lateness.summary(),
        senderBusy: performance.eventLoopUtilization(utilization).utilization,
        stolen: stolenSince(processors),
        longestGap,
        windows: windows.map((window, index) => ({
          at: at + index * phase.window,
          accepted: window.accepted.summary(),
          refused: window.refused,
          stolen: stolen[index] ?? 0,
        })),
      };
    },
  };
}
