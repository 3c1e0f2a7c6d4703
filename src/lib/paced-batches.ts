import { setImmediate, setTimeout } from "node:timers/promises";

/** Waits so many milliseconds, but keeps no process from ending. */
export const rest = (milliseconds: number): Promise<void> =>
  milliseconds > 0 ? setTimeout(milliseconds, undefined, { ref: false }) : setImmediate();

export interface BatchPace {
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** The length of a rest, in times of what the batch before it took; 1 if absent. */
  readonly rests?: number;
  /** Waits so many milliseconds. */
  readonly pause?: (milliseconds: number) => Promise<void>;
}

/**
 * Does work that no caller should notice: runs `batch` until it answers that nothing is left, and
 * rests between two. Rejects as `batch` does. Without rests the p99 of reads during a sweep of a
 * large file was ten times that in quiet (`bench -- upkeep`).
 */
export async function inPacedBatches(
  batch: () => Promise<boolean>,
  { clock, rests = 1, pause = rest }: BatchPace,
): Promise<void> {
  for (;;) {
    const start = clock();
    if (!(await batch())) return;
    await pause(rests * (clock() - start));
  }
}
