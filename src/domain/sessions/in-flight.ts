import { type IdempotencyKey, isAnsweredBy, type RequestHash } from "./idempotency-key.js";

/**
 * Creates a table of the store's calls in flight, by idempotency key. A repeated request finds the
 * first call here and shares its answer. Only methods that take several steps need it.
 */
export function createInFlight<T>() {
  const inFlight = new Map<RequestHash, IdempotencyKey & { readonly answer: () => Promise<T> }>();

  return {
    /** Returns what gives the answer, if the call is in flight. Throws as `isAnsweredBy`. */
    find(idempotencyKey: IdempotencyKey | undefined): (() => Promise<T>) | null {
      const call = idempotencyKey && inFlight.get(idempotencyKey.key);
      return call && isAnsweredBy(idempotencyKey, call) ? call.answer : null;
    },

    /** Adds a call; `answer`, which is not called before this step ends, is its own. */
    begin(idempotencyKey: IdempotencyKey | undefined, answer: () => Promise<T>): void {
      if (idempotencyKey) inFlight.set(idempotencyKey.key, { ...idempotencyKey, answer });
    },

    end(idempotencyKey: IdempotencyKey | undefined): void {
      if (idempotencyKey) inFlight.delete(idempotencyKey.key);
    },
  };
}
