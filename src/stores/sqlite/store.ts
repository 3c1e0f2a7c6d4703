import type { Database } from "better-sqlite3";
import { isTouchDue } from "../../domain/app-policy.js";
import type { Awaitable } from "../../domain/awaitable.js";
import { createCallsUnderWay } from "../../domain/calls-under-way.js";
import { LatchkeyError, noSession, overloaded } from "../../domain/error.js";
import type { Once } from "../../domain/request-record.js";
import { rotatedAlready } from "../../domain/rotation.js";
import { expiresAt, isLive, type Session, touched } from "../../domain/session.js";
import type { SessionKey, SessionStore, StoreObserver } from "../../domain/session-store.js";
import { inSlices } from "../../domain/slices.js";
import type { TokenHash } from "../../domain/token.js";
import { createActiveUsers } from "./active-users.js";
import { createApps } from "./apps.js";
import { type BulkEnd, createBulkEnds, reasonOf } from "./bulk-ends.js";
import { createCommitQueue, type Reads, type Transaction, type Write } from "./commit-queue.js";
import { type Entry, latestOf } from "./entry.js";
import { createEventLog } from "./event-log.js";
import { isFatal, isOwnFault, translateFailure } from "./failure.js";
import { createListing } from "./listing.js";
import { createPolicies } from "./policies.js";
import type { Prefetch } from "./prefetch.js";
import { createRemovals } from "./removals.js";
import { createRequests } from "./requests.js";
import { createRotatedTokens } from "./rotated-tokens.js";
import { rowWrites } from "./row-writes.js";
import { createRows, type SessionHead } from "./rows.js";
import { createTotals } from "./totals.js";
import { createTouchWriter } from "./touch-writer.js";
import { createUserCap } from "./user-cap.js";
import { createWorkingSet } from "./working-set.js";
import type { Writer } from "./writer.js";

/** A change of a session's data that leaves its limits alone needs no write of them. */
const sameLimits = (a: Session, b: Session) =>
  a.idleTtl === b.idleTtl && a.absoluteExpiresAt === b.absoluteExpiresAt;

export interface SqliteStoreOptions {
  /** A database with the current schema, to read from; closed with the store. */
  readonly db: Database;
  /** Opens what writes to the same database; closed with the store. */
  readonly openWriter: (onBroken: (error: Error) => void) => Writer;
  /** What reads its rows ahead; closed with the store. */
  readonly prefetch: Prefetch;
  readonly observer: StoreObserver;
  /** About how much memory (bytes) the cache of sessions may take. */
  readonly cacheBytes: number;
  /** Sessions that one transaction of a bulk end removes. */
  readonly slice: number;
  /** Events that the log keeps. */
  readonly keptEvents: number;
  /** Writes that may wait for the disk; while there are so many, callers' are refused. */
  readonly maxWaiting: number;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Size of the write-ahead log. */
  readonly walBytes: () => number;
  /** Called once, when the disk fails so that only a restart is safe. */
  readonly onFatal: (error: unknown) => void;
  /** Called last by `close`: whether the database was let go of, which it is unless the disk failed. */
  readonly onClose: (isLetGo: boolean) => void;
}

/** Which session a call changes, and under which request it may come again. */
interface Target {
  readonly app: string;
  readonly key: SessionKey | undefined;
  readonly now: number;
  readonly once?: Once | undefined;
}

/**
 * Keeps sessions in SQLite. Writes go through the commit queue; reads are
 * answered from memory where they can be, and change memory only.
 */
export function createSqliteStore(options: SqliteStoreOptions): SessionStore {
  const { db, prefetch, observer, slice } = options;
  const rows = createRows(db);
  const memory = createWorkingSet(options.cacheBytes, () => touches.schedule());
  const apps = createApps(rows);
  const requests = createRequests(rows.request);
  const ends = createBulkEnds(db);
  /** Those that end many: their answers are kept when the last row is removed. */
  const endings = createCallsUnderWay<number | null>();
  const oldTokens = createRotatedTokens(
    memory,
    (app, tokenHash) => {
      const id = apps.idOf(app);
      return id === null ? null : rows.byRotatedToken(app, id, tokenHash);
    },
    (app, entry, now) => isOpen(app, entry, now),
  );
  const policies = createPolicies(db);
  const userCap = createUserCap(rows, memory, ends);
  const events = createEventLog(db, options.keptEvents);
  const totals = createTotals(rows);
  const { remove, removeAll } = createRemovals({ events, memory, ends, totals });
  const list = createListing({ rows, apps, memory, ends });
  const countActive = createActiveUsers(db, ends);
  let failure: LatchkeyError | undefined;
  let closing: Promise<void> | undefined;

  const fail = (error: unknown): Error => {
    const translated = translateFailure(error);
    if (isFatal(error) && !failure) {
      failure = new LatchkeyError("unavailable", "the disk failed: the server must restart", {
        cause: error,
      });
      touches.stop();
      options.onFatal(error);
    }
    return translated;
  };

  const writer = options.openWriter(fail);
  const commits = createCommitQueue({
    writer,
    translate: fail,
    isOwnFault,
    beforeCommit(transaction) {
      if (failure) throw failure;
      events.seal(transaction);
      totals.seal(transaction);
    },
  });

  const touches = createTouchWriter({
    commits,
    memory,
    onWrite: (transaction, entry) => events.touched(transaction, latestOf(entry)),
    clock: options.clock,
  });

  const assertUsable = () => {
    if (closing) throw new LatchkeyError("unavailable", "the session store is closed");
    if (failure) throw failure;
  };

  /** Reads outside a transaction, with SQLite's failures translated. */
  const read = <T>(query: () => T): T => {
    assertUsable();
    try {
      return query();
    } catch (error) {
      throw fail(error);
    }
  };

  /** As `read`, but a failure is a rejected promise. */
  const attempt = <T>(query: () => Awaitable<T>): Awaitable<T> => {
    try {
      return read(query);
    } catch (error) {
      return Promise.reject(error);
    }
  };

  /** As `attempt`, for a query that reads the token's session: it is in memory then if it can be. */
  const attemptRead = <T>(
    app: string,
    tokenHash: TokenHash,
    query: () => Awaitable<T>,
  ): Awaitable<T> => {
    if (memory.peek(tokenHash) !== undefined) return attempt(query);
    return attempt(() => {
      const appId = apps.idOf(app);
      const known = commits.committed();
      const fetched = appId === null ? undefined : prefetch.session({ app, appId, tokenHash });
      if (!fetched) return query();
      return fetched.then((stored) =>
        read(() => {
          // Memory has what a transaction under way makes of the session; what one that was
          // committed meanwhile made of it, the row may not have.
          const isLatest = memory.peek(tokenHash) === undefined && commits.committed() === known;
          if (stored && isLatest) memory.admit(stored);
          return query();
        }),
      );
    });
  };

  /** A write of the store's own, or one that goes on with what a caller was let in for. */
  const write = <T>(reads: Reads, work: Write<T>): Promise<T> => {
    assertUsable();
    return commits.run(reads, work);
  };

  /** Throws `overloaded` if so many writes wait that a caller's would not be done in time. */
  const assertRoom = () => {
    if (commits.waiting() >= options.maxWaiting) throw overloaded();
  };

  const callersWrite = <T>(reads: Reads, work: Write<T>): Promise<T> => {
    assertRoom();
    return write(reads, work);
  };

  const find = (app: string, tokenHash: TokenHash, now: number): Entry | null => {
    let entry = memory.get(tokenHash);
    if (entry === undefined) {
      const id = apps.idOf(app);
      const stored = id === null ? null : rows.byToken(app, id, tokenHash);
      entry = stored && memory.admit(stored);
    }
    if (entry?.tokenHash !== tokenHash) return oldTokens.inGrace(app, tokenHash, now);
    return isOpen(app, entry, now) ? entry : null;
  };

  /** Whether the entry is a live session of the app. */
  const isOpen = (app: string, entry: Entry, now: number) => {
    const { row, lastAccessedAt, untouched } = entry;
    const { userId, idleTtl, absoluteExpiresAt } = untouched;
    return (
      untouched.app === app &&
      isLive({ lastAccessedAt, idleTtl, absoluteExpiresAt }, now) &&
      !ends.of({ app, userId, row })
    );
  };

  const findKey = (app: string, key: SessionKey, now: number): Entry | null => {
    if ("tokenHash" in key) return find(app, key.tokenHash, now);
    const id = apps.idOf(app);
    const stored = id === null ? null : rows.bySessionId(app, id, key.id);
    return stored && find(app, stored.tokenHash, now);
  };

  /**
   * Runs `work` with the session that is named, if it lives. The use of a token after its
   * grace ends the session instead, and then the call rejects.
   */
  const change = async <T>(
    reads: Reads,
    { app, key, now, once }: Target,
    work: (transaction: Transaction, entry: Entry | null) => T | null,
  ): Promise<T | null> => {
    let stolen: Entry | null = null as Entry | null;
    const answer = await callersWrite(reads, (transaction) => {
      stolen = null;
      return requests.answer(transaction, once, () => {
        const entry = key ? findKey(app, key, now) : null;
        stolen = entry ? null : findStolen(app, key, now);
        if (!stolen) return work(transaction, entry);
        remove(transaction, stolen, "theft", now);
        return null;
      });
    });
    if (stolen) throw noSession({ theft: { app, sessionId: stolen.untouched.id } });
    return answer;
  };

  const findStolen = (app: string, key: SessionKey | undefined, now: number): Entry | null =>
    key && "tokenHash" in key ? oldTokens.stolen(app, key.tokenHash, now) : null;

  /** What a read answers that found no session. */
  const absent = (app: string, tokenHash: TokenHash, now: number): Awaitable<null> => {
    const key = { tokenHash };
    return findStolen(app, key, now) ? change("memory", { app, key, now }, () => null) : null;
  };

  /** Removes some rows of sessions that ended together; answers whether there may be more. */
  const reclaim = (end: BulkEnd, limit: number, once?: Once): Promise<boolean> =>
    write("rows", (transaction) => {
      const heads = rows.toEnd(end, limit);
      removeAll(transaction, heads, reasonOf(end), end.at);
      if (heads.length === limit) return true;
      ends.finish(transaction, end);
      if (once) requests.keep(transaction, once, end.ended);
      return false;
    });

  /**
   * Ends the sessions of an app, or of a user of it, that exist now, all in one step; answers how
   * many. More than a slice of them are dead at once, but removed slice by slice.
   */
  const endAll = (
    { app, key, now, once }: Target,
    userId: string | null,
    isKept: (kept: Entry | null) => boolean,
  ): Promise<number | null> => {
    let end = null as BulkEnd | null;
    let sameCall = null as (() => Promise<number | null>) | null;

    const run = async () => {
      const answer = await change("rows", { app, key, now, once }, (transaction, kept) => {
        end = null;
        sameCall = endings.find(once);
        if (sameCall || !isKept(kept)) return null;
        const appId = apps.idOf(app);
        if (appId === null) return 0;
        const before = totals.nextRow();
        const scope = { app, appId, userId, before, keep: kept?.row ?? null, at: now };
        const heads = rows.toEnd(scope, slice + 1);
        if (heads.length <= slice) return removeAll(transaction, heads, reasonOf(scope), now);
        end = ends.begin(transaction, scope);
        endings.begin(once, () => ended);
        transaction.onRollback(() => endings.end(once));
        return null;
      });
      if (sameCall) return sameCall();
      if (!end) return answer;
      const begun = end;
      try {
        await inSlices(() => reclaim(begun, slice, once), options.clock);
        return end.ended;
      } finally {
        end.isDriven = false;
        endings.end(once);
      }
    };
    const ended = run();
    return ended;
  };

  const sweepRequests = async (now: number, limit: number): Promise<boolean> => {
    const expired = read(() => rows.expiredRequests(now, limit));
    if (expired > 0) {
      await write("memory", (transaction) => transaction.add(rowWrites.sweepRequests(now, limit)));
    }
    return expired === limit;
  };

  return {
    policy: policies.of,

    async setPolicy(app, policy) {
      // When it begins, the file has all sessions, also those that no cap counted.
      await callersWrite("rows", (transaction) => policies.set(transaction, app, policy));
    },

    async create(session, tokenHash, once, salt = "") {
      const data = JSON.stringify(session.data);
      const insert = (transaction: Transaction) => {
        const policy = policies.of(session.app);
        const isCapped = policy.maxSessionsPerUser > 0;
        const known = isCapped ? apps.idOf(session.app) : null;
        for (const over of isCapped ? userCap.evictions(policy, known, session) : []) {
          const entry = find(session.app, over, session.createdAt);
          if (entry) remove(transaction, entry, "evicted", session.createdAt);
        }
        const id = apps.add(transaction, session.app);
        const row = totals.added(transaction);
        transaction.add(rowWrites.insert(row, id, tokenHash, session, data));
        const dataBytes = Buffer.byteLength(data);
        memory.create(transaction, { row, tokenHash, session, dataBytes });
        if (isCapped) userCap.created(transaction, row, tokenHash, session);
        events.note(transaction, "created", session, session.createdAt);
        return { session, salt };
      };
      return callersWrite("memory", (transaction) =>
        once ? requests.answer(transaction, once, () => insert(transaction)) : insert(transaction),
      );
    },

    peek(app, tokenHash, now) {
      return attemptRead(app, tokenHash, () => {
        const entry = find(app, tokenHash, now);
        return entry ? latestOf(entry) : absent(app, tokenHash, now);
      });
    },

    touch(app, tokenHash, now) {
      return attemptRead(app, tokenHash, () => {
        const entry = find(app, tokenHash, now);
        if (!entry) return absent(app, tokenHash, now);
        const before = latestOf(entry);
        if (!isTouchDue(policies.of(app), before, now)) return { before, after: before };
        const after = touched(before, now);
        memory.touch(entry, after);
        return { before, after };
      });
    },

    async update(app, tokenHash, now, apply, once) {
      const key = { tokenHash };
      const changed = await change("memory", { app, key, now, once }, (transaction, entry) => {
        if (!entry) return null;
        const before = latestOf(entry);
        const after = apply(before);
        const data = JSON.stringify(after.data);
        transaction.add(rowWrites.update(entry.row, after, data));
        if (!sameLimits(before, after)) transaction.add(rowWrites.limit(entry.row, after));
        const dataBytes = Buffer.byteLength(data);
        memory.update(transaction, entry, { session: after, dataBytes });
        events.note(transaction, "updated", after, now);
        // Half of it is all that has to be kept to give the answer again.
        return once ? { after } : { before, after };
      });
      return changed && { before: changed.after, ...changed };
    },

    async rotate(app, tokenHash, now, { to, graceEndsAt, salt, change: apply }, once) {
      const key = { tokenHash };
      return change("memory", { app, key, now, once }, (transaction, entry) => {
        if (!entry) return null;
        if (entry.tokenHash !== tokenHash) throw rotatedAlready();
        const session = apply(latestOf(entry));
        const { row } = entry;
        transaction.add(rowWrites.setToken(row, to, session));
        transaction.add(rowWrites.addOldToken(row, tokenHash, session.version, graceEndsAt));
        transaction.add(rowWrites.dropOldTokens(row));
        memory.rotate(transaction, entry, { session, tokenHash: to }, graceEndsAt);
        events.note(transaction, "rotated", session, now);
        return { session, graceEndsAt, salt };
      });
    },

    async delete(app, key, now, options = {}) {
      const { reason = "deleted", check, allowMissing = false, once } = options;
      const reads = "id" in key ? "rows" : "memory";
      const ended = await change(reads, { app, key, now, once }, (transaction, entry) => {
        if (!entry) return allowMissing ? false : null;
        check?.(latestOf(entry));
        remove(transaction, entry, reason, now);
        return true;
      });
      return ended ?? false;
    },

    async deleteUser(app, userId, now, keep, { allowMissing = false, once } = {}) {
      return endAll(
        { app, key: keep, now, once },
        userId,
        (kept) => !keep || allowMissing || kept?.untouched.userId === userId,
      );
    },

    async deleteApp(app, now, once) {
      return (await endAll({ app, key: undefined, now, once }, null, () => true)) ?? 0;
    },

    list: async (app, now, query) => read(() => list(app, now, query)),

    async countActiveUsers(app, since, now) {
      assertUsable();
      assertRoom();
      await touches.writeAll();
      return attempt(() => {
        const appId = apps.idOf(app);
        return appId === null ? 0 : countActive({ app, appId, since, now });
      });
    },

    async sweep(now, limit) {
      const requestsLeft = await sweepRequests(now, limit);
      const end = ends.left();
      const endsLeft =
        end !== undefined && ((await reclaim(end, limit)) || ends.left() !== undefined);
      const first = read(() => rows.firstSweep());
      if (first === null || first > now) return requestsLeft || endsLeft;
      const { examined, swept } = await write("rows", (transaction) => {
        const due = rows.toSweep(now, limit);
        const expired: SessionHead[] = [];
        for (const head of due) {
          const session = memory.latest(head) ?? head.session;
          if (isLive(session, now))
            transaction.add(rowWrites.deferSweep(head.row, expiresAt(session)));
          else expired.push(head);
        }
        removeAll(transaction, expired, "idle", now);
        return { examined: due.length, swept: expired.length };
      });
      if (swept > 0) observer.swept(swept);
      return requestsLeft || endsLeft || examined === limit;
    },

    async ping() {
      read(() => rows.totals());
    },

    stats: () => ({
      sessions: totals.sessions(),
      walBytes: options.walBytes(),
      waitingWrites: commits.waiting(),
    }),

    events: {
      ...events.log,
      read: (query) => attempt(() => events.log.read(query)),
      async watch(app, now) {
        assertUsable();
        if (events.isWatched(app, now)) return;
        await callersWrite("memory", (transaction) => {
          events.watch(transaction, app, apps.add(transaction, app), now);
        });
      },
    },

    close() {
      closing ??= (async () => {
        touches.stop();
        try {
          if (!failure) {
            // Behind all writes accepted before.
            await touches.writeAll();
          }
        } finally {
          await prefetch.close();
          await writer.close();
          memory.clear();
          // The last connection to close copies the log and removes it. After a failure that is
          // for a restart to do, and this one stays as long as the process.
          if (!failure) db.close();
          options.onClose(failure === undefined);
        }
      })();
      return closing;
    },
  };
}
