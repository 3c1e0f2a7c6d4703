import type { LatchkeyError } from "../domain/error.js";
import { busy } from "./busy.js";

export interface WorkLimitOptions {
  /** Pieces of work that run at a time. */
  readonly running: number;
  /** Pieces that wait for their turn, in the order they came; more are refused. */
  readonly waiting: number;
  /** What those that are refused reject with; `limit` if absent. */
  readonly refusal?: () => LatchkeyError;
}

export type WorkLimit = ReturnType<typeof createWorkLimit>;

/** Answers a function that runs work as the limits allow, and rejects with `refusal` beyond them. */
export function createWorkLimit({
  running: most,
  waiting: room,
  refusal = busy,
}: WorkLimitOptions) {
  const waiting: (() => void)[] = [];
  let running = 0;

  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (running === most) {
      if (waiting.length === room) {
        throw refusal();
      }
      // Whoever ends hands its place on, so `running` stays as it is.
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else {
      running++;
    }
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}

/** As `createWorkLimit`, with a limit for each caller; there are no more than accounts. */
export function createWorkLimits(options: WorkLimitOptions) {
  const limits = new Map<string, WorkLimit>();
  return <T>(who: string, work: () => Promise<T>): Promise<T> => {
    const limit = limits.get(who) ?? createWorkLimit(options);
    limits.set(who, limit);
    return limit(work);
  };
}
