import { createRoundRobin } from "../../lib/round-robin.js";
import { busy } from "../busy.js";

/** Whose turn a piece of work takes. */
export interface Turn {
  /** Goes ahead of those that are not known. */
  readonly isKnown: boolean;
  /** The groups that it belongs to, the outermost first. Turns of one kind name equally many. */
  readonly groups: readonly string[];
}

export interface FairQueueOptions {
  /** Pieces of work that run at a time. */
  readonly running: number;
  /** Pieces that wait for their turn. */
  readonly waiting: { readonly known: number; readonly strangers: number };
}

export type FairQueue = ReturnType<typeof createFairQueue>;

/** Of so many turns in a row that known ones take while a stranger waits, the next is the stranger's. */
const KNOWN_IN_A_ROW = 3;

/** Who waits for a turn. */
interface Waiting {
  start(): void;
  refuse(error: Error): void;
}

/**
 * Returns a function that runs work in turns. Known ones and strangers wait apart; known ones go
 * ahead, and a stranger gets at least every fourth turn. Among either, groups take turns, and so do
 * the groups within them: a piece of work waits for at most one piece of each other group.
 *
 * Where no place to wait is left, the latest of the largest group gives way. Work that finds no
 * place, or gives it up, rejects with `limit`.
 */
export function createFairQueue({ running: most, waiting: room }: FairQueueOptions) {
  const known = createRoundRobin<Waiting>();
  const strangers = createRoundRobin<Waiting>();
  let running = 0;
  let knownInARow = 0;

  const next = (): Waiting | undefined => {
    const isStrangersTurn = knownInARow >= KNOWN_IN_A_ROW && strangers.size() > 0;
    const first = isStrangersTurn ? undefined : known.shift();
    knownInARow = first ? knownInARow + 1 : 0;
    return first ?? strangers.shift();
  };

  const wait = ({ isKnown, groups }: Turn): Promise<void> => {
    const queue = isKnown ? known : strangers;
    if (queue.size() === (isKnown ? room.known : room.strangers)) {
      const displaced = queue.giveWay(groups);
      if (!displaced) throw busy();
      displaced.refuse(busy());
    }
    return new Promise((start, refuse) => queue.push(groups, { start, refuse }));
  };

  return async <T>(turn: Turn, work: () => Promise<T>): Promise<T> => {
    // Whoever ends hands its place on, so `running` stays as it is.
    if (running === most) await wait(turn);
    else running++;
    try {
      return await work();
    } finally {
      const waiting = next();
      if (waiting) waiting.start();
      else running--;
    }
  };
}
