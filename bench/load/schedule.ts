import type { Phase } from "./phase.js";

export type Schedule = ReturnType<typeof createSchedule>;

/** Says when the calls of a phase are due that began at `start`; times by performance.now(). */
export function createSchedule({ rate, seconds, order, among }: Phase, start: number) {
  const interval = rate === null ? 0 : 1_000 / rate;
  const calls = order === "each" ? among : Number.POSITIVE_INFINITY;
  let end = seconds === null ? Number.POSITIVE_INFINITY : start + seconds * 1_000;
  let next = 0;

  const dueOf = (call: number, now: number) => (rate === null ? now : start + call * interval);

  return {
    /** The instant of the next call; without a rate, that is always now. */
    due: (now: number) => dueOf(next, now),
    isOver: (now: number) => next >= calls || dueOf(next, now) >= end,

    /** The next call is made; answers its number. */
    take: () => next++,

    /** Passes over the calls due until `now`, and answers how many. */
    skip(now: number): number {
      if (rate === null) return 0;
      const last = Math.floor((Math.min(now, end) - start) / interval);
      const until = Math.min(calls, dueOf(last, now) < end ? last + 1 : last);
      const skipped = Math.max(0, until - next);
      next += skipped;
      return skipped;
    },

    /** No call is due from `at` on. */
    end(at: number): void {
      end = Math.min(end, at);
    },
  };
}
