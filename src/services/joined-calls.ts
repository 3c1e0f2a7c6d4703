import { isAnsweredBy, type Once } from "../domain/request-record.js";

/**
 * Joins calls that are repeated while the first is under way: `carryOut` runs for the first, and
 * all get its answer. Rejects as `isAnsweredBy` throws. Calls without a `once` are on their own.
 */
export function createJoinedCalls<T>() {
  const underWay = new Map<string, Once & { readonly answer: Promise<T> }>();

  return async (once: Once | undefined, carryOut: () => Promise<T>): Promise<T> => {
    if (!once) return carryOut();
    const first = underWay.get(once.key);
    if (isAnsweredBy(once, first)) return first.answer;
    const answer = carryOut();
    underWay.set(once.key, { ...once, answer });
    return answer.finally(() => underWay.delete(once.key));
  };
}
