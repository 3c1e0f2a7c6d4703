/** Lets a number of calls run at once; the others wait for their turn, in order. */
export interface Queue {
  /**
   * Resolves when the call may run, with what ends its turn. Resolves with undefined if the signal
   * is aborted first, or the time (ms; 0: none) is over.
   */
  enter(timeoutMs: number, signal: AbortSignal | undefined): Promise<(() => void) | undefined>;
}

export function createQueue(places: number): Queue {
  let free = places;
  // A Set keeps the order, and one that gives up leaves it at once.
  const waiting = new Set<() => void>();
  const leave = () => {
    const [next] = waiting;
    if (!next) free++;
    else {
      waiting.delete(next);
      next();
    }
  };
  const turn = () => {
    let isOver = false;
    return () => {
      if (!isOver) leave();
      isOver = true;
    };
  };
  return {
    async enter(timeoutMs, signal) {
      if (signal?.aborted) return undefined;
      if (free > 0) {
        free--;
        return turn();
      }
      return new Promise((resolve) => {
        const settle = (value: (() => void) | undefined) => {
          clearTimeout(timer);
          signal?.removeEventListener("abort", giveUp);
          resolve(value);
        };
        const begin = () => settle(turn());
        const giveUp = () => {
          waiting.delete(begin);
          settle(undefined);
        };
        const timer = timeoutMs > 0 ? setTimeout(giveUp, timeoutMs) : undefined;
        signal?.addEventListener("abort", giveUp);
        waiting.add(begin);
      });
    },
  };
}
