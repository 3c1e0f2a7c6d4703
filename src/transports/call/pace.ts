/** Does `work` once there is a turn for it; false if too much waits already, and it will not be done. */
export type Pace = (owner: unknown, work: () => void) => boolean;

export interface PaceOptions {
  /** Milliseconds of a tick, */
  readonly tick: number;
  /** in which so much is done. */
  readonly perTick: number;
  /** How much may wait. */
  readonly maxWaiting: number;
  /** Runs `work` once, in so many milliseconds. */
  readonly after: (milliseconds: number, work: () => void) => void;
}

/**
 * Does work at once while there is little of it, and no more than so much in a tick: the rest waits,
 * each owner's in the order in which it came, and the owners take turns.
 */
export function createPace({ tick, perTick, maxWaiting, after }: PaceOptions): Pace {
  /** Those whose turn is next first. */
  const waiting = new Map<unknown, (() => void)[]>();
  let count = 0;
  let room = perTick;
  let isTicking = false;

  const doNext = () => {
    for (const [owner, works] of waiting) {
      const work = works.shift();
      count--;
      waiting.delete(owner);
      if (works.length > 0) waiting.set(owner, works);
      work?.();
      return;
    }
  };

  const end = () => {
    isTicking = room < perTick;
    if (!isTicking) return;
    after(tick, end);
    const due = Math.min(perTick, count);
    room = perTick - due;
    for (let i = 0; i < due; i++) doNext();
  };

  return (owner, work) => {
    if (!isTicking) {
      isTicking = true;
      after(tick, end);
    }
    if (room > 0) {
      room--;
      work();
      return true;
    }
    if (count === maxWaiting) return false;
    count++;
    const works = waiting.get(owner);
    if (works) works.push(work);
    else waiting.set(owner, [work]);
    return true;
  };
}
