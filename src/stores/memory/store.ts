import type { EndReason } from "../../domain/end-reason.js";
import { LatchkeyError } from "../../domain/error.js";
import { KEPT_EVENTS } from "../../domain/event-log.js";
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

/** A session and what finds it. */
interface Entry {
  readonly tokenHash: TokenHash;
  /** Grows with each creation; the order of listings. */
  readonly position: number;
  session: Session;
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
  const byId = new Map<string, Entry>();
  const apps = new Map<string, Map<string, Set<Entry>>>();
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
    const entry = byToken.get(tokenHash);
    return entry && entry.session.app === app && isLive(entry.session, now) ? entry : null;
  };

  const findKey = (app: string, key: SessionKey, now: number): Entry | null => {
    if ("tokenHash" in key) return find(app, key.tokenHash, now);
    assertOpen();
    const entry = byId.get(key.id);
    return entry && entry.session.app === app && isLive(entry.session, now) ? entry : null;
  };

  const remove = (entry: Entry, reason: EndReason, now: number) => {
    const { session } = entry;
    events.note("ended", session, now, reason);
    byToken.delete(entry.tokenHash);
    byId.delete(session.id);
    const users = apps.get(session.app);
    const entries = users?.get(session.userId);
    entries?.delete(entry);
    if (entries?.size === 0) users?.delete(session.userId);
    if (users?.size === 0) apps.delete(session.app);
  };

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

  return {
    async create(session, tokenHash) {
      assertOpen();
      if (byToken.has(tokenHash) || byId.has(session.id)) {
        throw new LatchkeyError("exists", "the session exists already");
      }
      const entry: Entry = { tokenHash, position: ++positions, session };
      byToken.set(tokenHash, entry);
      byId.set(session.id, entry);
      const users = apps.get(session.app) ?? new Map<string, Set<Entry>>();
      const entries = users.get(session.userId) ?? new Set<Entry>();
      apps.set(session.app, users.set(session.userId, entries.add(entry)));
      nextDeadline = Math.min(nextDeadline, expiresAt(session));
      events.note("created", session, session.createdAt, null);
    },

    async peek(app, tokenHash, now) {
      return find(app, tokenHash, now)?.session ?? null;
    },

    async touch(app, tokenHash, now) {
      const entry = find(app, tokenHash, now);
      if (!entry) return null;
      const change = replace(entry, touched(entry.session, now));
      events.touched(change.after);
      return change;
    },

    async update(app, tokenHash, now, change) {
      const entry = find(app, tokenHash, now);
      if (!entry) return null;
      const changed = replace(entry, change(entry.session));
      nextDeadline = Math.min(nextDeadline, expiresAt(changed.after));
      events.note("updated", changed.after, now, null);
      return changed;
    },

    async delete(app, key, now) {
      const entry = findKey(app, key, now);
      if (entry) remove(entry, "deleted", now);
      return entry !== null;
    },

    async deleteUser(app, userId, now, keep) {
      assertOpen();
      const kept = keep && findKey(app, keep, now);
      if (keep && kept?.session.userId !== userId) return null;
      let ended = 0;
      for (const entry of [...entriesOf(app, userId)]) {
        if (entry === kept) continue;
        if (isLive(entry.session, now)) ended++;
        remove(entry, "user", now);
      }
      return ended;
    },

    async deleteApp(app, now, cancelled) {
      assertOpen();
      let ended = 0;
      const entries = [...entriesOf(app)];
      for (let from = 0; from < entries.length && !cancelled(); from += SLICE) {
        for (const entry of entries.slice(from, from + SLICE)) {
          if (byToken.get(entry.tokenHash) !== entry) continue;
          if (isLive(entry.session, now)) ended++;
          remove(entry, "app", now);
        }
        await new Promise(setImmediate);
      }
      return ended;
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
      return nextDeadline <= now;
    },

    async ping() {
      assertOpen();
    },

    stats: () => ({ sessions: byToken.size, walBytes: 0 }),

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
