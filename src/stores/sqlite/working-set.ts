import type { Session } from "../../domain/session.js";
import type { TokenHash } from "../../domain/token.js";
import type { Transaction } from "./commit-queue.js";
import type { StoredSession } from "./rows.js";
import { createSessionCache } from "./session-cache.js";

/** A session in memory; `session` may be newer than its row by its last touches. */
export interface Entry {
  readonly row: number;
  readonly tokenHash: TokenHash;
  session: Session;
  dataBytes: number;
}

/** What a transaction makes of a session; null: it ends it. Under a token that it rotates, the
 * entry has another. */
interface PendingChange {
  readonly entry: Entry | null;
  /** Of such a token. */
  readonly graceEndsAt: number;
  isInFile: boolean;
}

/** A session as a row just read has it, or a part of it. */
interface Stored<T> {
  readonly tokenHash: TokenHash;
  readonly session: T;
}

export type WorkingSet = ReturnType<typeof createWorkingSet>;

/**
 * The sessions in memory: a cache bounded to about `maxBytes`, and those of which
 * the file does not have the latest yet, which stay until it does. `onTouched` is
 * called when there are touches that no transaction writes.
 */
export function createWorkingSet(maxBytes: number, onTouched: () => void) {
  const cache = createSessionCache<Entry>(maxBytes);
  /** With touches that no transaction has yet. */
  const touched = new Map<TokenHash, Entry>();
  /** What transactions under way make of sessions: the file may have an older state. */
  const pending = new Map<TokenHash, PendingChange>();

  const touch = (entry: Entry, session: Session) => {
    entry.session = session;
    touched.set(entry.tokenHash, entry);
    onTouched();
  };

  /** Undefined if only the file knows; null if the session is about to be gone. If the token is
   * about to be rotated, the session as it was then, which has another. */
  const get = (tokenHash: TokenHash): Entry | null | undefined => {
    const change = pending.size === 0 ? undefined : pending.get(tokenHash);
    return change ? change.entry : (cache.get(tokenHash) ?? touched.get(tokenHash));
  };

  /** The same without counting as a use of the cache. */
  const look = (tokenHash: TokenHash): Entry | null | undefined => {
    const change = pending.get(tokenHash);
    return change ? change.entry : (cache.peek(tokenHash) ?? touched.get(tokenHash));
  };

  /** As the function given, but by all rotations to the session's token and latest state. */
  const following = (ask: typeof get) => (tokenHash: TokenHash) => {
    let asked = tokenHash;
    let entry = ask(asked);
    while (entry && entry.tokenHash !== asked) {
      asked = entry.tokenHash;
      entry = ask(asked);
    }
    return entry;
  };

  /** Undefined and null as of `get`. */
  const peek = following(look);

  /** The transaction makes this of a session; null: it ends it. */
  const setPending = (
    transaction: Transaction,
    tokenHash: TokenHash,
    entry: Entry | null,
    graceEndsAt = 0,
  ) => {
    const before = pending.get(tokenHash);
    const change: PendingChange = { entry, graceEndsAt, isInFile: false };
    pending.set(tokenHash, change);
    transaction.onRollback(() => {
      // The transaction of the one before may have been committed meanwhile.
      if (before && !before.isInFile) pending.set(tokenHash, before);
      else pending.delete(tokenHash);
    });
    transaction.onCommit(() => {
      change.isInFile = true;
      if (pending.get(tokenHash) === change) pending.delete(tokenHash);
    });
  };

  /** Sets what a session is once the transaction is committed; null: it is gone. */
  const replace = (
    transaction: Transaction,
    tokenHash: TokenHash,
    entry: Entry | null,
    graceEndsAt?: number,
  ) => {
    const cachedBefore = cache.peek(tokenHash);
    const touchedBefore = touched.get(tokenHash);
    const setCached = (one: Entry | null | undefined) => {
      if (one) cache.set(tokenHash, one);
      else cache.delete(tokenHash);
    };
    setPending(transaction, tokenHash, entry, graceEndsAt);
    setCached(entry?.tokenHash === tokenHash ? entry : null);
    touched.delete(tokenHash);
    transaction.onRollback(() => {
      setCached(cachedBefore);
      if (touchedBefore) touch(touchedBefore, touchedBefore.session);
      else touched.delete(tokenHash);
    });
  };

  /** Touches that meet a change which is taken back stay: they were answered. */
  const keepTouches = (transaction: Transaction, before: Entry, entry: Entry) => {
    const { session } = entry;
    transaction.onRollback(() => {
      const touches = entry.session.reads - session.reads;
      if (touches === 0) return;
      touch(before, {
        ...before.session,
        reads: before.session.reads + touches,
        lastAccessedAt: Math.max(before.session.lastAccessedAt, entry.session.lastAccessedAt),
      });
    });
  };

  return {
    get,
    follow: following(get),
    peek,

    /** When the grace of a token ends that a transaction under way rotates; undefined: none does. */
    graceOf: (tokenHash: TokenHash): number | undefined => {
      const change = pending.get(tokenHash);
      return change?.entry && change.entry.tokenHash !== tokenHash ? change.graceEndsAt : undefined;
    },

    /** Takes a row just read into the cache; nothing newer may be in memory. */
    admit({ row, tokenHash, session, dataBytes }: StoredSession): Entry {
      const entry = { row, tokenHash, session, dataBytes };
      cache.set(tokenHash, entry);
      return entry;
    },

    /** The latest state of a row just read, without taking it into the cache; null if the
     * session is about to be gone. */
    latest<T>({ tokenHash, session }: Stored<T>): Session | T | null {
      const entry = peek(tokenHash);
      return entry === undefined ? session : (entry?.session ?? null);
    },

    /** Records a touch that the file does not have yet. */
    touch,

    touchedEntries: (): Entry[] => [...touched.values()],
    hasTouched: (): boolean => touched.size > 0,

    /** The transaction creates the session. */
    create: (transaction: Transaction, entry: Entry) =>
      replace(transaction, entry.tokenHash, entry),

    /** The transaction gives the session the state `entry` instead of `before`. */
    update(transaction: Transaction, before: Entry, entry: Entry) {
      // Runs after the steps of `replace` are undone, so it is registered first.
      keepTouches(transaction, before, entry);
      replace(transaction, entry.tokenHash, entry);
    },

    /** As `update`, for an entry with another token; the old one is good until the grace ends. */
    rotate(transaction: Transaction, before: Entry, entry: Entry, graceEndsAt: number) {
      keepTouches(transaction, before, entry);
      replace(transaction, before.tokenHash, entry, graceEndsAt);
      replace(transaction, entry.tokenHash, entry);
    },

    /** The transaction ends the session. */
    remove: (transaction: Transaction, tokenHash: TokenHash) =>
      replace(transaction, tokenHash, null),

    /** Forgets a session that no call can find any more. */
    forget(tokenHash: TokenHash) {
      cache.delete(tokenHash);
      touched.delete(tokenHash);
    },

    /** The transaction writes the entry's touches; false if they are not the latest any more. */
    settle(transaction: Transaction, entry: Entry): boolean {
      if (touched.get(entry.tokenHash) !== entry) return false;
      setPending(transaction, entry.tokenHash, entry);
      touched.delete(entry.tokenHash);
      transaction.onRollback(() => touch(entry, entry.session));
      return true;
    },

    clear() {
      cache.clear();
      touched.clear();
      pending.clear();
    },
  };
}
