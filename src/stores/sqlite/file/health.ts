import { LatchkeyError } from "../../../domain/error.js";
import type { MaybePromise } from "../../../lib/maybe-promise.js";
import { isDamage, isDamagedPage, isFatal, translateFailure } from "./failure.js";

export type StoreHealth = ReturnType<typeof createStoreHealth>;

/** Knows whether the store can be used. `onFatal` is called once, when the disk fails so that
 * only a restart is safe; `onDamage` whenever a damaged page is met, which fails a call only. */
export function createStoreHealth(
  onFatal: (error: unknown) => void,
  onDamage: (error: unknown) => void,
) {
  let failure: LatchkeyError | undefined;
  let isClosed = false;

  /** What a caller is told of an error; if it is the disk's, nothing is done any more. */
  const failAs = (error: unknown, work: "read" | "write"): Error => {
    const translated = translateFailure(error, work);
    if (isDamagedPage(error)) onDamage(error);
    if (isFatal(error) && !failure) {
      const message = isDamage(error)
        ? "the database is damaged, and must be restored from a backup"
        : "the disk failed: the server must restart";
      failure = new LatchkeyError("unavailable", message, { cause: error });
      onFatal(error);
    }
    return translated;
  };

  /** The same of an error of a write. */
  const fail = (error: unknown): Error => failAs(error, "write");

  /** From here on nothing is done any more: the files that are open are the database no more. */
  const lose = (cause: LatchkeyError): void => {
    if (failure) return;
    const message = "the database was deleted or replaced: the server must restart";
    failure = new LatchkeyError("unavailable", message, { cause });
    onFatal(cause);
  };

  const assertDisk = () => {
    if (failure) throw failure;
  };

  const assertUsable = () => {
    if (isClosed) throw new LatchkeyError("unavailable", "the session store is closed");
    assertDisk();
  };

  /** Reads outside a transaction, with SQLite's failures translated. */
  const read = <T>(query: () => T): T => {
    assertUsable();
    try {
      return query();
    } catch (error) {
      throw failAs(error, "read");
    }
  };

  return {
    fail,
    lose,
    assertDisk,
    assertUsable,
    read,

    /** As `read`, but a failure is a rejected promise. */
    attempt<T>(query: () => MaybePromise<T>): MaybePromise<T> {
      try {
        return read(query);
      } catch (error) {
        return Promise.reject(error);
      }
    },

    hasFailed: (): boolean => failure !== undefined,

    /** No call is let in any more; those that were go on. */
    close(): void {
      isClosed = true;
    },
  };
}
