import { LatchkeyError } from "../domain/error.js";

export interface WorkLimitOptions {
  /** Pieces of work that run at a time. */
  readonly running: number;
  /** Pieces that wait for their turn, in the order they came; more are refused. */
  readonly waiting: number;
}

export type WorkLimit = ReturnType<typeof createWorkLimit>;

/** Answers a function that runs work as the limits allow, and rejects with `limit` beyond them. */
export function createWorkLimit({ running: most, waiting: room }: WorkLimitOptions) {
  const waiting: (() => void)[] = [];
  let running = 0;

  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (running === most) {
      if (waiting.length === room) {
        throw new LatchkeyError("limit", "the server is busy: try again in a few seconds");
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
