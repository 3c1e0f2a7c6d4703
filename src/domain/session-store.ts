import type { Awaitable } from "./awaitable.js";
import type { EventLog } from "./event-log.js";
import type { Change, Session } from "./session.js";
import type { TokenHash } from "./token.js";

/** Names one session of an app: by what its token hashes to, or by its public id. */
export type SessionKey = { readonly tokenHash: TokenHash } | { readonly id: string };

/** Which live sessions of an app a listing shows. */
export interface ListQuery {
  /** Only this user's. */
  readonly userId?: string;
  /** Only those accessed at or after this instant (ms). */
  readonly activeSince?: number;
  /** Only those created before this position: `next` of the page before. */
  readonly before?: number;
  /** The most sessions to answer, at least 1. */
  readonly limit: number;
  /** The page ends when its data, as JSON in UTF-8, passes this many bytes; it holds at least
   * one session. */
  readonly maxBytes: number;
  /** Show sessions, too, whose end is under way but not durable. */
  readonly includeEnding?: boolean;
}

/** A page of a listing, the newest created first. */
export interface ListPage {
  readonly sessions: readonly Session[];
  /** Where the next page begins, or null if there is none. Positions are never reused. */
  readonly next: number | null;
}

/** What a store tells about itself, for metrics. */
export interface StoreStats {
  /** Sessions held, expired ones that are not yet swept included. */
  readonly sessions: number;
  /** Bytes of the write-ahead log; 0 where there is none. */
  readonly walBytes: number;
}

/** Called by a store as it works, for metrics; must not throw. */
export interface StoreObserver {
  /** A group of `writes` was made durable in `seconds`. */
  committed(writes: number, seconds: number): void;
  /** A sweep removed `sessions` expired sessions. */
  swept(sessions: number): void;
}

/**
 * Keeps sessions. `now` is the caller's clock in milliseconds; a session that
 * is not live then (see `isLive`) is treated as absent, swept or not.
 *
 * A promise resolves, or a value is returned, when the effect is as durable as the store makes it, and
 * from then on every method sees it. Every method is atomic unless it says
 * otherwise. Failures of the storage reject with `unavailable`, also after
 * `close`; no method throws.
 */
export interface SessionStore {
  /** Adds a session. Rejects with `exists` if the token hash or the id is taken. */
  create(session: Session, tokenHash: TokenHash): Promise<void>;

  /** The session, unchanged; null if there is none. */
  peek(app: string, tokenHash: TokenHash, now: number): Awaitable<Session | null>;

  /** Counts a read and restarts the idle time; null if there is none. The touch
   * may take a second to become durable; it is visible at once. */
  touch(app: string, tokenHash: TokenHash, now: number): Awaitable<Change | null>;

  /**
   * Replaces the session by `change(session)`; null if there is none. `change`
   * must be pure, for a store may call it more than once, and leave id, app,
   * userId and createdAt alone. What it throws rejects this call and changes
   * nothing.
   */
  update(
    app: string,
    tokenHash: TokenHash,
    now: number,
    change: (session: Session) => Session,
  ): Promise<Change | null>;

  /** Ends one session; false if there is none. */
  delete(app: string, key: SessionKey, now: number): Promise<boolean>;

  /**
   * Ends the user's sessions that exist now, all but `keep`, and answers how
   * many. Null, and nothing ended, if `keep` is no live session of the user.
   */
  deleteUser(app: string, userId: string, now: number, keep?: SessionKey): Promise<number | null>;

  /**
   * Ends the app's sessions that exist now and answers how many. Not atomic:
   * works in slices, asks `cancelled` between them and stops if it says so.
   */
  deleteApp(app: string, now: number, cancelled: () => boolean): Promise<number>;

  /** A page of the app's live sessions. */
  list(app: string, now: number, query: ListQuery): Promise<ListPage>;

  /** How many different users have a live session accessed at or after `since` (ms). */
  countActiveUsers(app: string, since: number, now: number): Promise<number>;

  /** Removes at most `limit` expired sessions; answers whether there may be more. */
  sweep(now: number, limit: number): Promise<boolean>;

  /** Resolves if the store can serve; rejects with `unavailable` if it cannot. */
  ping(): Promise<void>;

  stats(): StoreStats;

  /** What happens to the sessions. A change that succeeds has its event, one that fails none. */
  readonly events: EventLog;

  /** Writes what is pending and releases everything. May be called again. */
  close(): Promise<void>;
}
