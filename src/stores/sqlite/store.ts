import type { Database } from "better-sqlite3";
import { LatchkeyError, sessionExists } from "../../domain/error.js";
import { isTouchDue } from "../../domain/sessions/app-policy.js";
import { checkCreation, checkGrowth, type Quotas } from "../../domain/sessions/quotas.js";
import { rotatedAlready, spareAfter } from "../../domain/sessions/rotation.js";
import { type Session, touched } from "../../domain/sessions/session.js";
import type { SessionStore, StoreObserver } from "../../domain/sessions/session-store.js";
import type { TokenHash } from "../../domain/token.js";
import type { MaybePromise } from "../../lib/maybe-promise.js";
import { type Entry, latestOf } from "./cache/entry.js";
import { createTouchWriter } from "./cache/touch-writer.js";
import { createWorkingSet } from "./cache/working-set.js";
import { createCommitQueue, type RunWrite, type Transaction } from "./commit/commit-queue.js";
import { createWriteAdmission, type WaitingLimits } from "./commit/write-admission.js";
import type { Writer } from "./commit/writer.js";
import { isDamageAnswer, isOwnFault } from "./file/failure.js";
import { createStoreHealth } from "./file/health.js";
import type { Prefetch } from "./prefetch/client.js";
import { createTokenFilter, filterMemoryFor, type TokenFilter } from "./prefetch/token-filter.js";
import { createActiveUsers } from "./sessions/active-users.js";
import { createBulkRemovals } from "./sessions/bulk-removals.js";
import { createListing } from "./sessions/listing.js";
import { createMutate, isFirstUse } from "./sessions/mutate.js";
import { createRemovals } from "./sessions/removals.js";
import { createLookup } from "./sessions/session-lookup.js";
import { createSweep } from "./sessions/sweep.js";
import { createUserCap } from "./sessions/user-cap.js";
import { createRequests } from "./state/answers.js";
import { createAppUsages } from "./state/app-usage.js";
import { createApps } from "./state/apps.js";
import { createBulkEnds } from "./state/bulk-ends.js";
import { createEventLog } from "./state/event-log.js";
import { createPolicies } from "./state/policies.js";
import { createTotals } from "./state/totals.js";
import { createTableReads, type TableReads, tableWrites } from "./tables/tables.js";

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
  readonly batchSize: number;
  readonly quotas: Quotas;
  /** Events that the log keeps. */
  readonly keptEvents: number;
  /** What may wait for the disk; callers' writes beyond it are refused. Null: anything. */
  readonly waiting: WaitingLimits | null;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Size of the write-ahead log. */
  readonly walBytes: () => number;
  /** Watches the database's files; answers what ends the watch. */
  readonly watchFiles: (onLost: (error: LatchkeyError) => void) => () => void;
  /** Called once, when the disk fails so that only a restart is safe. */
  readonly onFatal: (error: unknown) => void;
  /** Told of every damaged page that something met: that fails, and nothing else. */
  readonly onDamage: (error: unknown) => void;
  /** Called last by `close`: whether the database was let go of, which it is unless the disk failed. */
  readonly onClose: (isLetGo: boolean) => void;
}

/**
 * Keeps sessions in SQLite. Writes go through the commit queue; reads are
 * answered from memory where they can be, and change memory only.
 */
export function createSqliteStore(options: SqliteStoreOptions): SessionStore {
  const { db, prefetch, observer, batchSize, quotas } = options;
  const tables = createTableReads(db);
  const memory = createWorkingSet(options.cacheBytes, () => touches.schedule());
  const apps = createApps(tables, quotas);
  const usages = createAppUsages(tables, apps);
  const requests = createRequests({ tables, apps, usages, quotas });
  const ends = createBulkEnds(tables);
  const filter = createTokenFilter(filterMemoryFor(tables.totals().sessions));
  prefetch.fill(filter.memory);
  const lookup = createLookup({ tables: filtered(tables, filter), memory, apps, ends });
  const policies = createPolicies(tables, quotas);
  const userCap = createUserCap(tables, memory, ends);
  const events = createEventLog(tables, options.keptEvents);
  const totals = createTotals(tables);
  const removals = createRemovals({ events, memory, ends, totals, usages });
  const listing = createListing({ tables, apps, memory, ends });
  const countActive = createActiveUsers(tables, ends);
  let closing: Promise<void> | undefined;

  const health = createStoreHealth((error) => {
    touches.stop();
    options.onFatal(error);
  }, options.onDamage);
  const writer = options.openWriter(health.fail);
  const unwatchFiles = options.watchFiles(health.lose);
  const commits = createCommitQueue({
    writer,
    translate: health.fail,
    isOwnFault,
    clock: options.clock,
    beforeCommit(transaction) {
      health.assertDisk();
      events.seal(transaction);
      totals.seal(transaction);
      usages.seal(transaction);
    },
  });

  const touches = createTouchWriter({
    commits,
    memory,
    onWrite: (transaction, entry) => events.touched(transaction, latestOf(entry)),
    clock: options.clock,
  });

  /** As `attempt`, for a query that reads the token's session: it is in memory then if it can be. */
  const attemptRead = <T>(
    app: string,
    tokenHash: TokenHash,
    query: () => MaybePromise<T>,
  ): MaybePromise<T> => {
    if (memory.peek(tokenHash) !== undefined || !filter.mayHave(tokenHash)) {
      return health.attempt(query);
    }
    return health.attempt(() => {
      const appId = apps.idOf(app);
      const known = commits.committed();
      const fetched = appId === null ? undefined : prefetch.session({ app, appId, tokenHash });
      if (!fetched) return query();
      return fetched.then((stored) =>
        health.read(() => {
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
  const write: RunWrite = (reads, work) => {
    health.assertUsable();
    return commits.run(reads, work);
  };

  const assertRoom = createWriteAdmission(commits, options.waiting, options.clock);

  const callersWrite: RunWrite = (reads, work) => {
    assertRoom();
    return write(reads, work);
  };

  const mutate = createMutate({
    write: callersWrite,
    lookup,
    requests,
    removals,
    memory,
  });
  const bulk = createBulkRemovals({
    ...{ tables, apps, ends, totals, requests, removals, mutate, write, batchSize },
    clock: options.clock,
  });
  const sweep = createSweep({
    ...{ tables, memory, removals, requests, health, write },
    swept: observer.swept,
    clock: options.clock,
  });
  const sweepParts = [
    sweep.part(sweep.requests),
    sweep.part((_, limit) => bulk.removeLeft(limit)),
    sweep.part(sweep.sessions),
  ];

  /** What a read answers that found no session. */
  const absent = (app: string, tokenHash: TokenHash, now: number): MaybePromise<null> => {
    const key = { tokenHash };
    return lookup.findStolen(app, key, now)
      ? mutate("memory", { app, key, now }, () => null)
      : null;
  };

  /** A read by a token: what `answer` makes of its session, null if there is none. */
  const read = <T>(
    app: string,
    tokenHash: TokenHash,
    now: number,
    answer: (entry: Entry) => T,
  ): MaybePromise<T | null> =>
    attemptRead<T | null>(app, tokenHash, () => {
      const entry = lookup.find(app, tokenHash, now);
      if (!entry) return absent(app, tokenHash, now);
      if (!isFirstUse(entry, tokenHash)) return answer(entry);
      // That the token was used is on disk before the read is answered: an old one is theft then.
      return mutate("memory", { app, key: { tokenHash }, now }, (_, found) => found).then(() =>
        health.read(() => {
          const found = lookup.find(app, tokenHash, now);
          return found && answer(found);
        }),
      );
    });

  return {
    policy: policies.of,

    async setPolicy(app, policy) {
      // When it begins, the file has all sessions, also those that no cap counted.
      await callersWrite("rows", (transaction) => policies.set(transaction, app, policy));
    },

    async create(session, tokenHash, idempotencyKey, salt = "", origin = "server") {
      const data = JSON.stringify(session.data);
      const insert = (transaction: Transaction) => {
        // Found by the file alone, the collision would be known after the commit, and until then
        // memory would have the new session for the token.
        if (origin === "caller" && lookup.isTaken(tokenHash)) {
          throw sessionExists();
        }
        filter.add(tokenHash);
        const policy = policies.of(session.app);
        const isCapped = policy.maxSessionsPerUser > 0;
        const known = isCapped ? apps.idOf(session.app) : null;
        for (const over of isCapped ? userCap.evictions(policy, known, session) : []) {
          const entry = lookup.find(session.app, over, session.createdAt);
          if (entry) removals.remove(transaction, entry, "evicted", session.createdAt);
        }
        const dataBytes = Buffer.byteLength(data);
        checkCreation(session.app, usages.of(session.app), quotas, dataBytes);
        const id = apps.add(transaction, session.app);
        const row = totals.added(transaction);
        usages.add(transaction, session.app, { sessions: 1, dataBytes });
        transaction.add(tableWrites.insert(row, id, tokenHash, session, data), dataBytes);
        memory.create(transaction, { row, tokenHash, session, dataBytes, spare: null });
        if (isCapped) userCap.created(transaction, row, tokenHash, session);
        events.note(transaction, "created", session, session.createdAt);
        return { session, salt };
      };
      return callersWrite("memory", (transaction) =>
        idempotencyKey
          ? requests.answer(transaction, idempotencyKey, () => insert(transaction))
          : insert(transaction),
      );
    },

    peek(app, tokenHash, now) {
      return read(app, tokenHash, now, latestOf);
    },

    touch(app, tokenHash, now) {
      return read(app, tokenHash, now, (entry) => {
        const before = latestOf(entry);
        if (!isTouchDue(policies.of(app), before, now)) return { before, after: before };
        const after = touched(before, now);
        memory.touch(entry, after);
        return { before, after };
      });
    },

    async update(app, tokenHash, now, apply, idempotencyKey) {
      const key = { tokenHash };
      const changed = await mutate(
        "memory",
        { app, key, now, idempotencyKey },
        (transaction, entry) => {
          if (!entry) return null;
          const before = latestOf(entry);
          const after = apply(before);
          const data = JSON.stringify(after.data);
          const dataBytes = Buffer.byteLength(data);
          const growth = dataBytes - entry.dataBytes;
          if (growth !== 0) {
            checkGrowth(app, usages.of(app), quotas, growth);
            usages.add(transaction, app, { dataBytes: growth });
          }
          transaction.add(tableWrites.update(entry.row, after, data), dataBytes);
          if (!sameLimits(before, after)) transaction.add(tableWrites.limit(entry.row, after));
          memory.update(transaction, entry, { session: after, dataBytes });
          events.note(transaction, "updated", after, now);
          // Half of it is all that has to be kept to give the answer again.
          return idempotencyKey ? { after } : { before, after };
        },
      );
      return changed && { before: changed.after, ...changed };
    },

    async rotate(app, tokenHash, now, rotation, idempotencyKey) {
      const { to, graceEndsAt, salt, change: apply } = rotation;
      const key = { tokenHash };
      return mutate("memory", { app, key, now, idempotencyKey }, (transaction, entry) => {
        if (!entry) return null;
        const isAgain = entry.tokenHash !== tokenHash;
        if (isAgain && !lookup.isRepeatable(app, tokenHash, now)) throw rotatedAlready();
        const spare = spareAfter(tokenHash, rotation);
        filter.add(to);
        const session = apply(latestOf(entry));
        const { row } = entry;
        transaction.add(tableWrites.setToken(row, to, spare, session));
        if (isAgain) transaction.add(tableWrites.addUnusedToken(entry.tokenHash, tokenHash));
        transaction.add(tableWrites.addOldToken(row, tokenHash, session.version, graceEndsAt));
        transaction.add(tableWrites.dropOldTokens(row));
        const made = { session, tokenHash: to, spare };
        memory.rotate(transaction, entry, made, { from: tokenHash, graceEndsAt });
        events.note(transaction, "rotated", session, now);
        return { session, graceEndsAt, salt };
      });
    },

    async delete(app, key, now, options = {}) {
      const { reason = "deleted", check, allowMissing = false, idempotencyKey } = options;
      const reads = "id" in key ? "rows" : "memory";
      const ended = await mutate(reads, { app, key, now, idempotencyKey }, (transaction, entry) => {
        if (!entry) return allowMissing ? false : null;
        check?.(latestOf(entry));
        removals.remove(transaction, entry, reason, now);
        return true;
      });
      return ended ?? false;
    },

    async deleteUser(app, userId, now, keep, { allowMissing = false, idempotencyKey } = {}) {
      return bulk.endAll(
        { app, key: keep, now, idempotencyKey },
        userId,
        (kept) => !keep || allowMissing || kept?.untouched.userId === userId,
      );
    },

    async deleteApp(app, now, idempotencyKey) {
      return (
        (await bulk.endAll({ app, key: undefined, now, idempotencyKey }, null, () => true)) ?? 0
      );
    },

    list: async (app, now, query) => health.read(() => listing.list(app, now, query)),

    withIds: async (app, ids, now) => health.read(() => listing.withIds(app, ids, now)),

    async countActiveUsers(app, since, now, turn, cancelled) {
      health.assertUsable();
      assertRoom();
      await touches.writeAll();
      return health.attempt(() => {
        const appId = apps.idOf(app);
        return appId === null ? 0 : countActive({ app, appId, since, now }, turn, cancelled);
      });
    },

    async sweep(now, limit) {
      let isMore = false;
      for (const part of sweepParts) isMore = (await part(now, limit)) || isMore;
      return isMore;
    },

    async ping() {
      try {
        health.read(() => tables.totals());
      } catch (error) {
        if (!isDamageAnswer(error)) throw error;
        const message = "the database is damaged, and must be restored from a backup";
        throw new LatchkeyError("unavailable", message, { cause: error });
      }
    },

    stats: () => ({
      sessions: totals.sessions(),
      walBytes: options.walBytes(),
      waitingWrites: commits.waiting(),
    }),

    events: {
      ...events.eventLog,
      read: (query) => health.attempt(() => events.eventLog.read(query)),
      async watch(app, now) {
        health.assertUsable();
        if (events.isWatched(app, now)) return;
        await callersWrite("memory", (transaction) => {
          events.watch(transaction, app, apps.add(transaction, app), now);
        });
      },
    },

    close() {
      health.close();
      closing ??= (async () => {
        touches.stop();
        unwatchFiles();
        try {
          if (!health.hasFailed()) {
            // Behind all writes accepted before.
            await touches.writeAll();
          }
        } finally {
          await prefetch.close();
          await writer.close();
          memory.clear();
          // The last connection to close copies the log and removes it. After a failure that is
          // for a restart to do, and this one stays as long as the process.
          if (!health.hasFailed()) db.close();
          options.onClose(!health.hasFailed());
        }
      })();
      return closing;
    },
  };
}

/** `tables` for a lookup, without reads for tokens that the file never had. */
function filtered(tables: TableReads, { mayHave }: Pick<TokenFilter, "mayHave">) {
  return {
    ...tables,
    byToken: (app: string, appId: number, tokenHash: TokenHash) =>
      mayHave(tokenHash) ? tables.byToken(app, appId, tokenHash) : null,
    byRotatedToken: (app: string, appId: number, tokenHash: TokenHash) =>
      mayHave(tokenHash) ? tables.byRotatedToken(app, appId, tokenHash) : null,
    hasToken: (tokenHash: TokenHash) => mayHave(tokenHash) && tables.hasToken(tokenHash),
  };
}
