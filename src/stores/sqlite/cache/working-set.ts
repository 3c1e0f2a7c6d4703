import type { Session } from "../../../domain/sessions/session.js";
import type { TokenHash } from "../../../domain/token.js";
import type { Transaction } from "../commit/commit-queue.js";
import type { StoredSession } from "../tables/sessions.js";
import { createEntry, type Entry, latestOf } from "./entry.js";
import { createSessionCache } from "./session-cache.js";
import { createTouchedEntries } from "./touched-entries.js";

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
  const cache = createSessionCache<Entry>(maxBytes, ({ isTouched }) => isTouched);
  const touched = createTouchedEntries();
  /** What transactions under way make of sessions: the file may have an older state. */
  const pending = new Map<TokenHash, PendingChange>();
  /** Those that transactions under way end, many at once, of which nothing else is in memory. */
  const ending = new Set<ReadonlySet<TokenHash>>();

  const untouch = (entry: Entry) => {
    if (touched.remove(entry)) cache.unpin(entry);
  };

  const touch = (
    entry: Entry,
    { reads, lastAccessedAt }: Pick<Session, "reads" | "lastAccessedAt">,
  ) => {
    entry.reads = reads;
    entry.lastAccessedAt = lastAccessedAt;
    if (touched.add(entry)) cache.pin(entry);
    onTouched();
  };

  const isEnding = (tokenHash: TokenHash): boolean => {
    for (const hashes of ending) if (hashes.has(tokenHash)) return true;
    return false;
  };

  /** What a transaction under way makes of it; undefined if none does anything. */
  const coming = (tokenHash: TokenHash): Entry | null | undefined => {
    const change = pending.size === 0 ? undefined : pending.get(tokenHash);
    if (change) return change.entry;
    return ending.size > 0 && isEnding(tokenHash) ? null : undefined;
  };

  /** Undefined if only the file knows; null if the session is about to be gone. If the token is
   * about to be rotated, the session as it was then, which has another. */
  const get = (tokenHash: TokenHash): Entry | null | undefined => {
    const entry = coming(tokenHash);
    return entry === undefined ? cache.get(tokenHash) : entry;
  };

  /** The same without counting as a use of the cache. */
  const look = (tokenHash: TokenHash): Entry | null | undefined => {
    const entry = coming(tokenHash);
    return entry === undefined ? cache.peek(tokenHash) : entry;
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
    const before = cache.peek(tokenHash);
    const wasTouched = before?.isTouched;
    setPending(transaction, tokenHash, entry, graceEndsAt);
    if (before) untouch(before);
    if (entry?.tokenHash === tokenHash) cache.set(entry);
    else cache.delete(tokenHash);
    transaction.onRollback(() => {
      if (entry) untouch(entry);
      if (before) cache.set(before);
      else cache.delete(tokenHash);
      // Its touches may have come to the file meanwhile.
      if (wasTouched && before.reads !== before.readsInFile) touch(before, before);
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
      cache.set(entry);
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

    touchedEntries: touched.all,
    hasTouched: (): boolean => touched.size() > 0,

    /** Forgets that the file does not have the latest touches of the session: it cannot. */
    giveUp: untouch,

    /** The transaction creates the session. */
    create: (transaction: Transaction, created: StoredSession) =>
      replace(transaction, created.tokenHash, createEntry(created)),

    /** The transaction leaves the session without a spare token. */
    dropSpare(transaction: Transaction, before: Entry): Entry {
      const { row, tokenHash, dataBytes } = before;
      const session = latestOf(before);
      const entry = createEntry({ row, tokenHash, session, dataBytes, spare: null });
      keepTouches(transaction, before, entry);
      replace(transaction, tokenHash, entry);
      return entry;
    },

    /** The transaction makes this of the session. */
    update(
      transaction: Transaction,
      before: Entry,
      { session, dataBytes }: Pick<StoredSession, "session" | "dataBytes">,
    ) {
      const { row, tokenHash, spare } = before;
      const entry = createEntry({ row, tokenHash, session, dataBytes, spare });
      // Runs after the steps of `replace` are undone, so it is registered first.
      keepTouches(transaction, before, entry);
      replace(transaction, tokenHash, entry);
    },

    /** As `update`, with another token; that which is rotated is good until the grace ends. */
    rotate(
      transaction: Transaction,
      before: Entry,
      { session, tokenHash, spare }: Pick<StoredSession, "session" | "tokenHash" | "spare">,
      { from, graceEndsAt }: { readonly from: TokenHash; readonly graceEndsAt: number },
    ) {
      const { row, dataBytes } = before;
      const entry = createEntry({ row, tokenHash, session, dataBytes, spare });
      keepTouches(transaction, before, entry);
      // Nobody used the one that it has, so that it is good no more.
      if (from !== before.tokenHash) replace(transaction, before.tokenHash, entry);
      replace(transaction, from, entry, graceEndsAt);
      replace(transaction, tokenHash, entry);
    },

    /** The transaction ends the session. */
    remove: (transaction: Transaction, tokenHash: TokenHash) =>
      replace(transaction, tokenHash, null),

    /** As `remove`, for each of many; with one step for all of which nothing is in memory. */
    removeAll(transaction: Transaction, tokenHashes: readonly TokenHash[]) {
      const hashes = new Set<TokenHash>();
      for (const tokenHash of tokenHashes) {
        if (look(tokenHash)) replace(transaction, tokenHash, null);
        else hashes.add(tokenHash);
      }
      if (hashes.size === 0) return;
      ending.add(hashes);
      const done = () => ending.delete(hashes);
      transaction.onRollback(done);
      transaction.onCommit(done);
    },

    /** Forgets a session that no call can find any more. */
    forget(tokenHash: TokenHash) {
      const entry = cache.peek(tokenHash);
      if (!entry) return;
      untouch(entry);
      cache.delete(tokenHash);
    },

    /**
     * Takes of the entries those with touches that no transaction has and that are the latest
     * still; this one is to write them.
     */
    take(transaction: Transaction, entries: readonly Entry[]): readonly Entry[] {
      const taken = entries.filter(
        ({ isTouched, reads, readsTaken }) => isTouched && reads !== readsTaken,
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
          if (entry.reads === entry.readsInFile) untouch(entry);
        }
      });
      return taken;
    },

    clear() {
      cache.clear();
      pending.clear();
      ending.clear();
    },
  };
}
