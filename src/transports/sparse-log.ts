/** How often (ms) what happens again and again is logged. */
const LOG_INTERVAL = 10_000;

/** Kinds that are told apart; beyond them all are forgotten, and each is logged anew. */
const MOST_KINDS = 1_000;

/**
 * Calls `log` for the first of each kind and then at most once in a while, with how many there
 * were since. `clock` answers milliseconds.
 */
export function createSparseLog<T>(
  clock: () => number,
  log: (kind: string, latest: T, count: number) => void,
) {
  const kinds = new Map<string, { count: number; loggedAt: number }>();
  return (kind: string, latest: T): void => {
    const at = clock();
    if (kinds.size >= MOST_KINDS) kinds.clear();
    const seen = kinds.get(kind) ?? { count: 0, loggedAt: Number.NEGATIVE_INFINITY };
    kinds.set(kind, seen);
    seen.count++;
    if (at - seen.loggedAt < LOG_INTERVAL) return;
    log(kind, latest, seen.count);
    seen.count = 0;
    seen.loggedAt = at;
  };
}
