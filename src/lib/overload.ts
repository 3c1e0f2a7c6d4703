/** Milliseconds after an overload in which calls that wait for too long are overload at once. */
const RELAPSE = 10_000;

export interface OverloadOptions {
  /** How long calls may wait for too long before that is overload, in milliseconds of `spent`. */
  readonly patience: number;
  /** Milliseconds that have been spent, of whatever a burst takes up. */
  readonly spent: () => number;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
}

/**
 * Tells overload from a burst. Calls wait for too long in both; a burst's queue goes away by
 * itself, that of an overload stands. The rule, judged by time and not by length, is CoDel's
 * (RFC 8289, 3.2 and 4.2), with an interval for clients that wait for seconds.
 *
 * The function that it answers is told whether calls wait for too long just now, and answers
 * whether they have for so long that the queue is to be cut.
 */
export function createOverloadJudge({
  patience,
  spent,
  clock,
}: OverloadOptions): (isLate: boolean) => boolean {
  let lateSince: number | null = null;
  let isRelapse = false;
  let isOverload = false;
  let endedAt = Number.NEGATIVE_INFINITY;

  return (isLate) => {
    if (!isLate) {
      if (isOverload) endedAt = clock();
      isOverload = false;
      lateSince = null;
      return false;
    }
    if (lateSince === null) {
      lateSince = spent();
      isRelapse = clock() - endedAt < RELAPSE;
    }
    isOverload = isRelapse || spent() - lateSince >= patience;
    return isOverload;
  };
}
