import { isAnsweredBy, type Once, type RequestHash } from "./idempotency-key.js";

/**
 * Calls that a store has begun and that go on over several of its steps, by their request: whoever
 * repeats one meanwhile gets its answer. What one step carries out needs this not.
 */
export function createCallsUnderWay<T>() {
  const underWay = new Map<RequestHash, Once & { readonly answer: () => Promise<T> }>();

  return {
    /** What gives the answer, if the call is under way. Throws as `isAnsweredBy`. */
    find(once: Once | undefined): (() => Promise<T>) | null {
      const call = once && underWay.get(once.key);
      return call && isAnsweredBy(once, call) ? call.answer : null;
    },

    /** The call is under way; `answer`, which is not called before this step ends, is its own. */
    begin(once: Once | undefined, answer: () => Promise<T>): void {
      if (once) underWay.set(once.key, { ...once, answer });
    },

    end(once: Once | undefined): void {
      if (once) underWay.delete(once.key);
    },
  };
}
