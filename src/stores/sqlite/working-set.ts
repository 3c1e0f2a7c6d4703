import { type Session, withAccess } from "../../domain/session.js";
import type { TokenHash } from "../../domain/token.js";
import type { Transaction } from "./commit-queue.js";
import type { StoredSession } from "./rows.js";
import { createSessionCache } from "./session-cache.js";

/**
 * A session in memory. Its row may not have its last touches yet. To change numbers in place leaves
 * nothing to collect: a new session for every touch made the collector walk all of memory every few
 * seconds (`bench -- upkeep`).
 */
export interface Entry {
  readonly row: number;
  readonly tokenHash: TokenHash;
  /** The session without its touches since it came to memory, which the next two tell. */
  readonly untouched: Session;
  reads: number;
  lastAccessedAt: number;
  /** The reads that the file has, and those that it will have by what is under way. */
  readsInFile: number;
  readsTaken: number;
  readonly dataBytes: number;
}

const createEntry = ({ row, tokenHash, session, dataBytes }: StoredSession): Entry => {
  const { reads, lastAccessedAt } = session;
  return {
    row,
    tokenHash,
    untouched: session,
    reads,
    lastAccessedAt,
    readsInFile: reads,
    readsTaken: reads,
    dataBytes,
  };
};

/** The session with all its touches. */
export const latestOf = ({ untouched, reads, lastAccessedAt }: Entry): Session =>
  reads === untouched.reads ? untouched : withAccess(untouched, reads, lastAccessedAt);

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
  /** With touches that the file does not have. */
  const touched = new Map<TokenHash, Entry>();
  /** What transactions under way make of sessions: the file may have an older state. */
  const pending = new Map<TokenHash, PendingChange>();

  const touch = (
    entry: Entry,
    { reads, lastAccessedAt }: Pick<Session, "reads" | "lastAccessedAt">,
  ) => {
    entry.reads = reads;
    entry.lastAccessedAt = lastAccessedAt;
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
      // Its touches may have come to the file meanwhile.
      if (touchedBefore && touchedBefore.reads !== touchedBefore.readsInFile) {
        touch(touchedBefore, touchedBefore);
      } else touched.delete(tokenHash);
    });
  };

  /** Touches that meet a change which is taken back stay: they were answered. */
  const keepTouches = (transaction: Transaction, before: Entry, entry: Entry) => {
    transaction.onRollback(() => {
      const touches = entry.reads - entry.untouched.reads;
      if (touches === 0) return;
      touch(before, {
        reads: before.reads + touches,
        lastAccessedAt: Math.max(before.lastAccessedAt, entry.lastAccessedAt),
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
    admit(stored: StoredSession): Entry {
      const entry = createEntry(stored);
      cache.set(entry.tokenHash, entry);
      return entry;
    },

    /** The latest state of a row just read, without taking it into the cache; null if the
     * session is about to be gone. */
    latest<T>({ tokenHash, session }: Stored<T>): Session | T | null {
      const entry = peek(tokenHash);
      return entry === undefined ? session : entry && latestOf(entry);
    },

    /** Records a touch that the file does not have yet. */
    touch,

    touchedEntries: (): Entry[] => [...touched.values()],
    hasTouched: (): boolean => touched.size > 0,

    /** The transaction creates the session. */
    create: (transaction: Transaction, created: StoredSession) =>
      replace(transaction, created.tokenHash, createEntry(created)),

    /** The transaction makes this of the session. */
    update(
      transaction: Transaction,
      before: Entry,
      { session, dataBytes }: Pick<StoredSession, "session" | "dataBytes">,
    ) {
      const { row, tokenHash } = before;
      const entry = createEntry({ row, tokenHash, session, dataBytes });
      // Runs after the steps of `replace` are undone, so it is registered first.
      keepTouches(transaction, before, entry);
      replace(transaction, tokenHash, entry);
    },

    /** As `update`, with another token; the old one is good until the grace ends. */
    rotate(
      transaction: Transaction,
      before: Entry,
      { session, tokenHash }: Pick<StoredSession, "session" | "tokenHash">,
      graceEndsAt: number,
    ) {
      const { row, dataBytes } = before;
      const entry = createEntry({ row, tokenHash, session, dataBytes });
      keepTouches(transaction, before, entry);
      replace(transaction, before.tokenHash, entry, graceEndsAt);
      replace(transaction, tokenHash, entry);
    },

    /** The transaction ends the session. */
    remove: (transaction: Transaction, tokenHash: TokenHash) =>
      replace(transaction, tokenHash, null),

    /** Forgets a session that no call can find any more. */
    forget(tokenHash: TokenHash) {
      cache.delete(tokenHash);
      touched.delete(tokenHash);
    },

    /**
     * Takes of the entries those with touches that no transaction has and that are the latest
     * still; this one is to write them.
     */
    take(transaction: Transaction, entries: readonly Entry[]): readonly Entry[] {
      const taken = entries.filter(
        (entry) => touched.get(entry.tokenHash) === entry && entry.reads !== entry.readsTaken,
      );
      const reads = taken.map((entry) => entry.reads);
      for (const entry of taken) entry.readsTaken = entry.reads;
      transaction.onRollback(() => {
        for (const entry of taken) entry.readsTaken = entry.readsInFile;
        onTouched();
      });
      transaction.onCommit(() => {
        for (const [index, entry] of taken.entries()) {
          entry.readsInFile = reads[index] ?? entry.readsInFile;
          const isLatest = touched.get(entry.tokenHash) === entry;
          if (isLatest && entry.reads === entry.readsInFile) touched.delete(entry.tokenHash);
        }
      });
      return taken;
    },

    clear() {
      cache.clear();
      touched.clear();
      pending.clear();
    },
  };
}
