import { overloaded } from "../domain/error.js";

/** Milliseconds of work after which there is a rest. */
const STRETCH = 2;

/** Pieces of work of one caller that may wait. */
const MOST_WAITING = 1_024;

export interface TurnsOptions {
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Settles in so many milliseconds, or with 0 when all has run that waits for the event loop. */
  readonly pause: (milliseconds: number) => Promise<unknown>;
}

/** Does its work, and returns what tells the caller of it. */
type Piece = () => Promise<() => void>;

/** Does a piece of a call's work when it is its caller's turn, and answers as it does. */
export type TakeTurn = <T>(who: string, work: () => T | Promise<T>) => Promise<T>;

/**
 * Heavy calls, cut into pieces of a millisecond or two, are done piece by piece: callers take turns,
 * whatever each has waiting, and the work rests for as long as it took, so that all of it together
 * takes half of the event loop's time at most and no light call waits for more than a piece. Rejects
 * with `overloaded` where more than MOST_WAITING pieces of the caller wait.
 */
export function createTurns({ clock, pause }: TurnsOptions): TakeTurn {
  /** What waits, by caller, the next first. */
  const waiting = new Map<string, Piece[]>();
  let isRunning = false;
  /** Milliseconds worked since the last rest, and when that was seen. */
  let owed = 0;
  let seenAt = Number.NEGATIVE_INFINITY;

  const next = (): Piece | undefined => {
    for (const [who, pieces] of waiting) {
      const piece = pieces.shift();
      waiting.delete(who);
      if (pieces.length > 0) waiting.set(who, pieces);
      return piece;
    }
    return undefined;
  };

  const run = async () => {
    for (let piece = next(); piece; piece = next()) {
      const start = clock();
      owed = Math.max(0, owed - (start - seenAt));
      const answer = await piece();
      seenAt = clock();
      owed += seenAt - start;
      answer();
      const rest = owed >= STRETCH ? owed : 0;
      await pause(rest);
      if (rest > 0) owed = 0;
    }
    isRunning = false;
  };

  return (who, work) =>
    new Promise((resolve, reject) => {
      const pieces = waiting.get(who) ?? [];
      if (pieces.length >= MOST_WAITING) throw overloaded();
      waiting.set(who, pieces);
      pieces.push(async () => {
        try {
          const value = await work();
          return () => resolve(value);
        } catch (error) {
          return () => reject(error);
        }
      });
      if (isRunning) return;
      isRunning = true;
      void run();
    });
}
