import { type AppPolicy, evictions, isTouchDue, NO_POLICY } from "../../domain/app-policy.js";
import { createCallsUnderWay } from "../../domain/calls-under-way.js";
import type { EndReason } from "../../domain/end-reason.js";
import { LatchkeyError, noSession } from "../../domain/error.js";
import { KEPT_EVENTS } from "../../domain/event-log.js";
import type { Once } from "../../domain/request-record.js";
import { OLD_TOKENS, rotatedAlready } from "../../domain/rotation.js";
import { type Change, expiresAt, isLive, type Session, touched } from "../../domain/session.js";
import type {
  ListPage,
  ListQuery,
  SessionKey,
  SessionStore,
  StoreObserver,
} from "../../domain/session-store.js";
import type { TokenHash } from "../../domain/token.js";
import { createMemoryEventLog, type EventLogOptions } from "./event-log.js";
import { createRequests } from "./requests.js";

/** A session and what finds it. */
interface Entry {
  tokenHash: TokenHash;
  /** Grows with each creation; the order of listings. */
  readonly position: number;
  session: Session;
  /** The tokens that it had before, the oldest first. */
  readonly oldTokens: TokenHash[];
}

/** A token that was rotated. */
interface OldToken {
  readonly entry: Entry;
  readonly graceEndsAt: number;
}

/** Which session a call changes, and under which request it may come again. */
interface Target {
  readonly app: string;
  readonly key: SessionKey | undefined;
  readonly now: number;
  readonly once?: Once | undefined;
}

/** How many sessions `deleteApp` ends before it lets others run. */
const SLICE = 1_000;

/**
 * Keeps sessions in this process only: they end with it. For tests, trials and
 * apps that can afford to log everybody out. Lists cost time in proportion to
 * the app's sessions.
 */
export function createMemoryStore(
  observer: Pick<StoreObserver, "swept">,
  options: Partial<EventLogOptions> = {},
): SessionStore {
  const events = createMemoryEventLog({ firstRevision: 0, keptEvents: KEPT_EVENTS, ...options });
  const byToken = new Map<TokenHash, Entry>();
  const byOldToken = new Map<TokenHash, OldToken>();
  const byId = new Map<string, Entry>();
  const requests = createRequests();
  /** Ends of apps, which are carried out in slices. */
  const endings = createCallsUnderWay<number>();
  const apps = new Map<string, Map<string, Set<Entry>>>();
  const policies = new Map<string, AppPolicy>();
  let positions = 0;
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

  const find = (app: string, tokenHash: TokenHash, now: number): Entry | null => {
    assertOpen();
    const entry = byToken.get(tokenHash) ?? findOld(tokenHash, (graceEndsAt) => now < graceEndsAt);
    return entry && isLiveIn(app, entry, now) ? entry : null;
  };

  const isLiveIn = (app: string, entry: Entry, now: number) =>
    entry.session.app === app && isLive(entry.session, now) && !isEnded(entry);

  /** Whether it ended together with others, and is not removed yet. */
  const isEnded = (entry: Entry) =>
    !apps.get(entry.session.app)?.get(entry.session.userId)?.has(entry);

  const findOld = (tokenHash: TokenHash, isMeant: (graceEndsAt: number) => boolean) => {
    const old = byOldToken.get(tokenHash);
    return old && isMeant(old.graceEndsAt) ? old.entry : null;
  };

  /** The live session that the token opened until its grace ended. */
  const findStolen = (app: string, key: SessionKey, now: number): Entry | null => {
    if (!("tokenHash" in key)) return null;
    const entry = findOld(key.tokenHash, (graceEndsAt) => now >= graceEndsAt);
    return entry && isLiveIn(app, entry, now) ? entry : null;
  };

  const findKey = (app: string, key: SessionKey, now: number): Entry | null => {
    if ("tokenHash" in key) return find(app, key.tokenHash, now);
    assertOpen();
    const entry = byId.get(key.id);
    return entry && isLiveIn(app, entry, now) ? entry : null;
  };

  const remove = (entry: Entry, reason: EndReason, now: number) => {
    const { session } = entry;
    events.note("ended", session, now, reason);
    byToken.delete(entry.tokenHash);
    for (const old of entry.oldTokens) byOldToken.delete(old);
    byId.delete(session.id);
    const users = apps.get(session.app);
    const entries = users?.get(session.userId);
    entries?.delete(entry);
    if (entries?.size === 0) users?.delete(session.userId);
    if (users?.size === 0) apps.delete(session.app);
  };

  /**
   * Runs `work` with the session that is named, if it lives. The use of a token after its
   * grace ends the session instead, and throws.
   */
  const change = <T>(
    { app, key, now, once }: Target,
    work: (entry: Entry | null) => T | null,
  ): T | null => {
    assertOpen();
    return requests.answer(once, () => {
      const entry = key ? findKey(app, key, now) : null;
      const stolen = entry || !key ? null : findStolen(app, key, now);
      if (!stolen) return work(entry);
      remove(stolen, "theft", now);
      throw noSession({ theft: { app, sessionId: stolen.session.id } });
    });
  };

  const policyOf = (app: string): AppPolicy => policies.get(app) ?? NO_POLICY;

  const replace = (entry: Entry, after: Session): Change => {
    const before = entry.session;
    entry.session = after;
    return { before, after };
  };

  function* entriesOf(app: string, userId?: string): Generator<Entry> {
    const users = apps.get(app);
    if (userId !== undefined) yield* users?.get(userId) ?? [];
    else for (const entries of users?.values() ?? []) yield* entries;
  }

  const endApp = async (app: string, now: number): Promise<number> => {
    let ended = 0;
    const users = apps.get(app);
    // From here on none of them is found.
    apps.delete(app);
    let removed = 0;
    for (const entries of users?.values() ?? []) {
      for (const entry of entries) {
        if (isLive(entry.session, now)) ended++;
        remove(entry, "app", now);
        if (++removed % SLICE === 0) await new Promise(setImmediate);
      }
    }
    return ended;
  };

  /** Ends the sessions that the policy does not allow beside a new one. */
  const makeRoom = ({ app, userId, createdAt }: Session) => {
    const policy = policyOf(app);
    if (policy.maxSessionsPerUser === 0) return;
    const live = [...entriesOf(app, userId)].filter(({ session }) => isLive(session, createdAt));
    for (const entry of evictions(policy, live)) remove(entry, "evicted", createdAt);
  };

  return {
    policy: policyOf,

    async setPolicy(app, policy) {
      assertOpen();
      policies.set(app, policy);
    },

    async create(session, tokenHash, once, salt = "") {
      assertOpen();
      return requests.answer(once, () => {
        if (byToken.has(tokenHash) || byId.has(session.id)) {
          throw new LatchkeyError("exists", "the session exists already");
        }
        makeRoom(session);
        const entry: Entry = { tokenHash, position: ++positions, session, oldTokens: [] };
        byToken.set(tokenHash, entry);
        byId.set(session.id, entry);
        const users = apps.get(session.app) ?? new Map<string, Set<Entry>>();
        const entries = users.get(session.userId) ?? new Set<Entry>();
        apps.set(session.app, users.set(session.userId, entries.add(entry)));
        nextDeadline = Math.min(nextDeadline, expiresAt(session));
        events.note("created", session, session.createdAt, null);
        return { session, salt };
      });
    },

    async peek(app, tokenHash, now) {
      return change({ app, key: { tokenHash }, now }, (entry) => entry?.session ?? null);
    },

    async touch(app, tokenHash, now) {
      return change({ app, key: { tokenHash }, now }, (entry) => {
        if (!entry) return null;
        const before = entry.session;
        if (!isTouchDue(policyOf(app), before, now)) return { before, after: before };
        const touch = replace(entry, touched(before, now));
        events.touched(touch.after);
        return touch;
      });
    },

    async update(app, tokenHash, now, apply, once) {
      const changed = change({ app, key: { tokenHash }, now, once }, (entry) => {
        if (!entry) return null;
        const { before, after } = replace(entry, apply(entry.session));
        nextDeadline = Math.min(nextDeadline, expiresAt(after));
        events.note("updated", after, now, null);
        // Half of it is all that has to be kept to give the answer again.
        return once ? { after } : { before, after };
      });
      return changed && { before: changed.after, ...changed };
    },

    async rotate(app, tokenHash, now, { to, graceEndsAt, salt, change: apply }, once) {
      return change({ app, key: { tokenHash }, now, once }, (entry) => {
        if (!entry) return null;
        if (entry.tokenHash !== tokenHash) throw rotatedAlready();
        replace(entry, apply(entry.session));
        byToken.delete(tokenHash);
        entry.tokenHash = to;
        byToken.set(to, entry);
        byOldToken.set(tokenHash, { entry, graceEndsAt });
        entry.oldTokens.push(tokenHash);
        for (const old of entry.oldTokens.splice(0, entry.oldTokens.length - OLD_TOKENS)) {
          byOldToken.delete(old);
        }
        events.note("rotated", entry.session, now, null);
        return { session: entry.session, graceEndsAt, salt };
      });
    },

    async delete(app, key, now, { reason = "deleted", check, allowMissing = false, once } = {}) {
      const ended = change({ app, key, now, once }, (entry) => {
        if (!entry) return allowMissing ? false : null;
        check?.(entry.session);
        remove(entry, reason, now);
        return true;
      });
      return ended ?? false;
    },

    async deleteUser(app, userId, now, keep, { allowMissing = false, once } = {}) {
      return change({ app, key: keep, now, once }, (kept) => {
        if (keep && kept?.session.userId !== userId && !allowMissing) return null;
        let ended = 0;
        for (const entry of [...entriesOf(app, userId)]) {
          if (entry === kept) continue;
          if (isLive(entry.session, now)) ended++;
          remove(entry, "user", now);
        }
        return ended;
      });
    },

    async deleteApp(app, now, once) {
      assertOpen();
      const answered = once && requests.find<number>(once);
      if (answered !== undefined) return answered;
      const sameCall = endings.find(once);
      if (sameCall) return sameCall();
      const ended = endApp(app, now).then((count) => {
        if (once) requests.keep(once, count);
        return count;
      });
      endings.begin(once, () => ended);
      return ended.finally(() => endings.end(once));
    },

    async list(app, now, query) {
      assertOpen();
      return page([...entriesOf(app, query.userId)], now, query);
    },

    async countActiveUsers(app, since, now) {
      assertOpen();
      let active = 0;
      for (const entries of apps.get(app)?.values() ?? []) {
        for (const { session } of entries) {
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
        // A Map's iterator bears removals and sees what is added meanwhile.
        sweepCursor = byToken.values();
      }
      for (let examined = 0; examined < limit && sweepCursor; examined++) {
        const next = sweepCursor.next();
        if (next.done) {
          sweepCursor = null;
        } else if (isEnded(next.value)) {
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

    stats: () => ({ sessions: byToken.size, walBytes: 0, waitingWrites: 0 }),

    events: {
      ...events.log,
      async read(query) {
        assertOpen();
        return events.log.read(query);
      },
      async watch(app, now) {
        assertOpen();
        events.watch(app, now);
      },
    },

    async close() {
      closed = true;
      events.close();
      byToken.clear();
      byOldToken.clear();
      requests.clear();
      byId.clear();
      apps.clear();
    },
  };
}

function page(entries: Entry[], now: number, query: ListQuery): ListPage {
  const { activeSince = 0, before = Number.POSITIVE_INFINITY, limit, maxBytes } = query;
  const matching = entries
    .filter(
      ({ position, session }) =>
        position < before && session.lastAccessedAt >= activeSince && isLive(session, now),
    )
    .sort((a, b) => b.position - a.position);
  const sessions: Session[] = [];
  let bytes = 0;
  for (const { position, session } of matching) {
    if (sessions.length === limit || bytes > maxBytes) {
      return { sessions, next: matching[sessions.length - 1]?.position ?? position };
    }
    sessions.push(session);
    bytes += Buffer.byteLength(JSON.stringify(session.data));
  }
  return { sessions, next: null };
}
