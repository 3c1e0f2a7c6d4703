import { LRUCache } from "lru-cache";
import type { Session } from "../../domain/session.js";
import type { TokenHash } from "../../domain/token.js";
import type { StoredSession } from "./rows.js";

/** A session in memory; `session` may be newer than its row by its last touches. */
export interface Entry {
  readonly row: number;
  readonly tokenHash: TokenHash;
  session: Session;
  dataBytes: number;
}

/** What an entry takes beside its data, in bytes, as measured on the heap. */
const ENTRY_BYTES = 800;

/**
 * The sessions in memory: a cache bounded to about `maxBytes`, and those whose
 * touches the file does not have yet, which stay until it does.
 */
export function createWorkingSet(maxBytes: number) {
  const cache = new LRUCache<TokenHash, Entry>({
    maxSize: maxBytes,
    sizeCalculation: (entry) => ENTRY_BYTES + 2 * entry.dataBytes,
  });
  const touched = new Map<TokenHash, Entry>();

  const get = (tokenHash: TokenHash): Entry | undefined =>
    cache.get(tokenHash) ?? touched.get(tokenHash);

  /** Sets what the row has now, nothing or an entry, and answers how to set it back. */
  const replace = (tokenHash: TokenHash, entry?: Entry) => {
    const before = { cached: cache.peek(tokenHash), touched: touched.get(tokenHash) };
    const setCached = (one: Entry | undefined) => {
      if (one) cache.set(tokenHash, one);
      else cache.delete(tokenHash);
    };
    setCached(entry);
    touched.delete(tokenHash);
    return () => {
      setCached(before.cached);
      if (before.touched) touched.set(tokenHash, before.touched);
      else touched.delete(tokenHash);
    };
  };

  return {
    get,

    /** The entry of a row just read: the one in memory if there is one, it is newer. */
    admit({ row, tokenHash, session, dataBytes }: StoredSession): Entry {
      const known = get(tokenHash);
      if (known) return known;
      const entry = { row, tokenHash, session, dataBytes };
      cache.set(tokenHash, entry);
      return entry;
    },

    /** The latest state of a row just read, without taking it into the cache. */
    latest: (stored: StoredSession): Session =>
      (cache.peek(stored.tokenHash) ?? touched.get(stored.tokenHash))?.session ?? stored.session,

    /** Records a touch that the file does not have yet. */
    touch(entry: Entry, session: Session) {
      entry.session = session;
      touched.set(entry.tokenHash, entry);
    },

    touchedEntries: (): Entry[] => [...touched.values()],
    hasTouched: (): boolean => touched.size > 0,

    // These three follow a write of the row, and answer how to undo them if its
    // transaction fails.

    /** The row has this state now. */
    put: (entry: Entry): (() => void) => replace(entry.tokenHash, entry),

    /** The row is gone. */
    remove: (tokenHash: TokenHash): (() => void) => replace(tokenHash),

    /** The row has the entry's touches; null if the entry is not the current one any more. */
    settle(entry: Entry): (() => void) | null {
      if (touched.get(entry.tokenHash) !== entry) return null;
      touched.delete(entry.tokenHash);
      return () => touched.set(entry.tokenHash, entry);
    },

    clear() {
      cache.clear();
      touched.clear();
    },
  };
}
