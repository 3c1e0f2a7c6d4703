import { LatchkeyError, noSession, sessionExists } from "../../domain/error.js";
import {
  type AppPolicy,
  evictions,
  isTouchDue,
  NO_POLICY,
} from "../../domain/sessions/app-policy.js";
import type { EndReason } from "../../domain/sessions/end-reason.js";
import { KEPT_EVENTS } from "../../domain/sessions/event-log.js";
import type { IdempotencyKey } from "../../domain/sessions/idempotency-key.js";
import { createInFlight } from "../../domain/sessions/in-flight.js";
import {
  type AppUsage,
  checkApps,
  checkCreation,
  checkGrowth,
  checkPolicies,
  DEFAULT_QUOTAS,
  type Quotas,
} from "../../domain/sessions/quotas.js";
import { rotatedAlready, spareAfter } from "../../domain/sessions/rotation.js";
import {
  expiresAt,
  isLive,
  type Session,
  type SessionChange,
  touched,
} from "../../domain/sessions/session.js";
import type {
  ListPage,
  ListQuery,
  SessionKey,
  SessionStore,
  StoreObserver,
} from "../../domain/sessions/session-store.js";
import { createAppUsages } from "./app-usage.js";
import { createEntries, type Entry } from "./entries.js";
import { createMemoryEventLog, type EventLogOptions } from "./event-log.js";
import { createRequests } from "./requests.js";

/** Which session a call changes, and under which request it may come again. */
interface Target {
  readonly app: string;
  readonly key: SessionKey | undefined;
  readonly now: number;
  readonly idempotencyKey?: IdempotencyKey | undefined;
}

export interface MemoryStoreOptions extends Partial<EventLogOptions> {
  /** What it keeps at most; `DEFAULT_QUOTAS` if absent. */
  readonly quotas?: Quotas;
}

/** How many sessions `deleteApp` ends before it lets others run. */
const BATCH_SIZE = 1_000;

/**
 * Keeps sessions in this process only: they end with it. For tests, trials and
 * apps that can afford to log everybody out. Lists cost time in proportion to
 * the app's sessions.
 */
export function createMemoryStore(
  observer: Pick<StoreObserver, "swept">,
  { quotas = DEFAULT_QUOTAS, ...options }: MemoryStoreOptions = {},
): SessionStore {
  const events = createMemoryEventLog({ firstRevision: 0, keptEvents: KEPT_EVENTS, ...options });
  const entries = createEntries();
  const usages = createAppUsages();
  const requests = createRequests(usages, quotas);
  /** Ends of apps, which are carried out in batches. */
  const endings = createInFlight<number>();
  const policies = new Map<string, AppPolicy>();
  let sweepCursor: Iterator<Entry> | null = null;
  /**
   * No session expires before this instant: by the last pass of the sweep, and what came since.
   * During a pass, of those only that it left alive.
   */
  let nextDeadline = Number.POSITIVE_INFINITY;
  let closed = false;

  const assertOpen = () => {
    if (closed) throw new LatchkeyError("unavailable", "the session store is closed");
  };

  const remove = (entry: Entry, reason: EndReason, now: number) => {
    events.note("ended", entry.session, now, reason);
    entries.remove(entry);
    usages.add(entry.session.app, { sessions: -1, dataBytes: -entry.dataBytes });
  };

  /** Carries out the use of an entry by a key: that of its token leaves no spare, if it succeeds. */
  const use = <T>(entry: Entry, key: SessionKey, work: (entry: Entry) => T): T => {
    const { spare } = entry;
    if (spare === null || !("tokenHash" in key) || key.tokenHash !== entry.tokenHash) {
      return work(entry);
    }
    entry.spare = null;
    try {
      return work(entry);
    } catch (error) {
      entry.spare = spare;
      throw error;
    }
  };

  /**
   * Runs `work` with the session that is named, if it lives. The use of an old token that is
   * theft ends the session instead, and throws.
   */
  const mutate = <T>(
    { app, key, now, idempotencyKey }: Target,
    work: (entry: Entry | null) => T | null,
  ): T | null => {
    assertOpen();
    return requests.answer(idempotencyKey, () => {
      const entry = key ? entries.find(app, key, now) : null;
      const stolen = entry || !key ? null : entries.findStolen(app, key, now);
      if (!stolen) return entry && key ? use(entry, key, work) : work(entry);
      remove(stolen, "theft", now);
      throw noSession({ theft: { app, sessionId: stolen.session.id } });
    });
  };

  const policyOf = (app: string): AppPolicy => policies.get(app) ?? NO_POLICY;

  const replace = (entry: Entry, after: Session): SessionChange => {
    const before = entry.session;
    entry.session = after;
    return { before, after };
  };

  /** The same with other data. */
  const replaceData = (entry: Entry, after: Session): SessionChange => {
    const { app } = after;
    const dataBytes = dataBytesOf(after);
    const growth = dataBytes - entry.dataBytes;
    checkGrowth(app, usages.of(app), quotas, growth);
    usages.add(app, { dataBytes: growth });
    entry.dataBytes = dataBytes;
    return replace(entry, after);
  };

  const endApp = async (app: string, now: number): Promise<number> => {
    let ended = 0;
    let removed = 0;
    for (const entry of entries.endApp(app)) {
      if (isLive(entry.session, now)) ended++;
      remove(entry, "app", now);
      if (++removed % BATCH_SIZE === 0) await new Promise(setImmediate);
    }
    return ended;
  };

  /** The sessions that the policy does not allow beside a new one. */
  const excess = ({ app, userId, createdAt }: Session): readonly Entry[] => {
    const policy = policyOf(app);
    if (policy.maxSessionsPerUser === 0) return [];
    const live = [...entries.of(app, userId)].filter(({ session }) => isLive(session, createdAt));
    return evictions(policy, live);
  };

  return {
    policy: policyOf,

    async setPolicy(app, policy) {
      assertOpen();
      if (!policies.has(app)) checkPolicies(app, policies.size, quotas);
      policies.set(app, policy);
    },

    async create(session, tokenHash, idempotencyKey, salt = "") {
      assertOpen();
      return requests.answer(idempotencyKey, () => {
        if (entries.has(tokenHash, session.id)) throw sessionExists();
        const { app } = session;
        const dataBytes = dataBytesOf(session);
        const evicted = excess(session);
        checkCreation(app, without(usages.of(app), evicted), quotas, dataBytes);
        if (!usages.has(app)) checkApps(app, usages.apps(), quotas);
        for (const entry of evicted) remove(entry, "evicted", session.createdAt);
        entries.add(session, tokenHash, dataBytes);
        usages.add(app, { sessions: 1, dataBytes });
        nextDeadline = Math.min(nextDeadline, expiresAt(session));
        events.note("created", session, session.createdAt, null);
        return { session, salt };
      });
    },

    async peek(app, tokenHash, now) {
      return mutate({ app, key: { tokenHash }, now }, (entry) => entry?.session ?? null);
    },

    async touch(app, tokenHash, now) {
      return mutate({ app, key: { tokenHash }, now }, (entry) => {
        if (!entry) return null;
        const before = entry.session;
        if (!isTouchDue(policyOf(app), before, now)) return { before, after: before };
        const touch = replace(entry, touched(before, now));
        events.touched(touch.after);
        return touch;
      });
    },

    async update(app, tokenHash, now, apply, idempotencyKey) {
      const changed = mutate({ app, key: { tokenHash }, now, idempotencyKey }, (entry) => {
        if (!entry) return null;
        const { before, after } = replaceData(entry, apply(entry.session));
        nextDeadline = Math.min(nextDeadline, expiresAt(after));
        events.note("updated", after, now, null);
        // Half of it is all that has to be kept to give the answer again.
        return idempotencyKey ? { after } : { before, after };
      });
      return changed && { before: changed.after, ...changed };
    },

    async rotate(app, tokenHash, now, rotation, idempotencyKey) {
      const { to, graceEndsAt, salt, change: apply } = rotation;
      return mutate({ app, key: { tokenHash }, now, idempotencyKey }, (entry) => {
        if (!entry) return null;
        if (entry.tokenHash !== tokenHash && entries.useOf(tokenHash, now) !== "retry") {
          throw rotatedAlready();
        }
        replace(entry, apply(entry.session));
        entries.rotate(entry, tokenHash, to, graceEndsAt);
        entry.spare = spareAfter(tokenHash, rotation);
        events.note("rotated", entry.session, now, null);
        return { session: entry.session, graceEndsAt, salt };
      });
    },

    async delete(
      app,
      key,
      now,
      { reason = "deleted", check, allowMissing = false, idempotencyKey } = {},
    ) {
      const ended = mutate({ app, key, now, idempotencyKey }, (entry) => {
        if (!entry) return allowMissing ? false : null;
        check?.(entry.session);
        remove(entry, reason, now);
        return true;
      });
      return ended ?? false;
    },

    async deleteUser(app, userId, now, keep, { allowMissing = false, idempotencyKey } = {}) {
      return mutate({ app, key: keep, now, idempotencyKey }, (kept) => {
        if (keep && kept?.session.userId !== userId && !allowMissing) return null;
        let ended = 0;
        for (const entry of [...entries.of(app, userId)]) {
          if (entry === kept) continue;
          if (isLive(entry.session, now)) ended++;
          remove(entry, "user", now);
        }
        return ended;
      });
    },

    async deleteApp(app, now, idempotencyKey) {
      assertOpen();
      const answered = idempotencyKey && requests.find<number>(idempotencyKey);
      if (answered !== undefined) return answered;
      const sameCall = endings.find(idempotencyKey);
      if (sameCall) return sameCall();
      requests.checkRoom(idempotencyKey);
      const ended = endApp(app, now).then((count) => {
        if (idempotencyKey) requests.keep(idempotencyKey, count);
        return count;
      });
      endings.begin(idempotencyKey, () => ended);
      return ended.finally(() => endings.end(idempotencyKey));
    },

    async list(app, now, query) {
      assertOpen();
      return page([...entries.of(app, query.userId)], now, query);
    },

    async withIds(app, ids, now) {
      assertOpen();
      return ids.flatMap((id) => entries.find(app, { id }, now)?.session ?? []);
    },

    async countActiveUsers(app, since, now) {
      assertOpen();
      let active = 0;
      for (const ofUser of entries.byUser(app)) {
        for (const { session } of ofUser) {
          if (session.lastAccessedAt < since || !isLive(session, now)) continue;
          active++;
          break;
        }
      }
      return active;
    },

    async sweep(now, limit) {
      assertOpen();
      const requestsLeft = requests.sweep(now, limit);
      let swept = 0;
      if (!sweepCursor) {
        if (nextDeadline > now) return false;
        nextDeadline = Number.POSITIVE_INFINITY;
        sweepCursor = entries.all();
      }
      for (let examined = 0; examined < limit && sweepCursor; examined++) {
        const next = sweepCursor.next();
        if (next.done) {
          sweepCursor = null;
        } else if (entries.isEnded(next.value)) {
          // The call that ended it removes it.
        } else if (!isLive(next.value.session, now)) {
          remove(next.value, "idle", now);
          swept++;
        } else {
          nextDeadline = Math.min(nextDeadline, expiresAt(next.value.session));
        }
      }
      if (swept > 0) observer.swept(swept);
      if (sweepCursor !== null) return true;
      // What the pass met alive may have expired before it ended.
      return nextDeadline <= now || requestsLeft;
    },

    async ping() {
      assertOpen();
    },

    stats: () => ({ sessions: entries.count(), walBytes: 0, waitingWrites: 0 }),

    events: {
      ...events.eventLog,
      async read(query) {
        assertOpen();
        return events.eventLog.read(query);
      },
      async watch(app, now) {
        assertOpen();
        events.watch(app, now);
      },
    },

    async close() {
      closed = true;
      events.close();
      requests.clear();
      entries.clear();
      usages.clear();
    },
  };
}

function page(ofApp: Entry[], now: number, query: ListQuery): ListPage {
  const { activeSince = 0, before = Number.POSITIVE_INFINITY, limit, maxBytes } = query;
  const matching = ofApp
    .filter(
      ({ position, session }) =>
        position < before && session.lastAccessedAt >= activeSince && isLive(session, now),
    )
    .sort((a, b) => b.position - a.position);
  const sessions: Session[] = [];
  let bytes = 0;
  for (const { position, session } of matching) {
    if (sessions.length === limit || bytes > maxBytes) {
      return { sessions, bytes, next: matching[sessions.length - 1]?.position ?? position };
    }
    sessions.push(session);
    bytes += Buffer.byteLength(JSON.stringify(session.data));
  }
  return { sessions, bytes, next: null };
}

function dataBytesOf({ data }: Session): number {
  return Buffer.byteLength(JSON.stringify(data));
}

/** What is left of an app without these sessions. */
function without(usage: AppUsage, entries: readonly Entry[]): AppUsage {
  const bytes = entries.reduce((sum, { dataBytes }) => sum + dataBytes, 0);
  return {
    ...usage,
    sessions: usage.sessions - entries.length,
    dataBytes: usage.dataBytes - bytes,
  };
}
