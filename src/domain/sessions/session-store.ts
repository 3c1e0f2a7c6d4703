import type { MaybePromise } from "../../lib/maybe-promise.js";
import type { TokenHash } from "../token.js";
import type { AppPolicy } from "./app-policy.js";
import type { EndReason } from "./end-reason.js";
import type { EventLog } from "./event-log.js";
import type { IdempotencyKey } from "./idempotency-key.js";
import type { Rotated, Rotation } from "./rotation.js";
import type { Session, SessionChange } from "./session.js";

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
  /** Of their data, as JSON in UTF-8. */
  readonly bytes: number;
  /** Where the next page begins, or null if there is none. Positions are never reused. */
  readonly next: number | null;
}

/** Does a piece of work when it may be done, and answers what it answers. */
export type Turn = <T>(work: () => T) => Promise<T>;

/** What came of a creation. */
export interface Created {
  readonly session: Session;
  /** What was given to the creation that is answered: this one, or the one that it repeats. */
  readonly salt: string;
}

/** Who made a token: this server, so that it is new for certain, or the caller. */
export type TokenOrigin = "server" | "caller";

export interface DeleteOptions {
  /** Why the session ends; `deleted` if absent. */
  readonly reason?: EndReason;
  /** Must be pure. What it throws rejects the call, and nothing is ended. */
  readonly check?: (session: Session) => void;
  /** Whether the answer is kept for `idempotencyKey` also if there is no such session. */
  readonly allowMissing?: boolean;
  readonly idempotencyKey?: IdempotencyKey | undefined;
}

export interface DeleteUserOptions {
  /** Whether all are ended if there is none to keep. */
  readonly allowMissing?: boolean;
  readonly idempotencyKey?: IdempotencyKey | undefined;
}

/** What a store tells about itself, for metrics. */
export interface StoreStats {
  /** Sessions held, expired ones that are not yet swept included. */
  readonly sessions: number;
  /** Bytes of the write-ahead log; 0 where there is none. */
  readonly walBytes: number;
  /** Writes that are on their way to the disk; 0 where there is none. */
  readonly waitingWrites: number;
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
 * is not live at `now` (see `isLive`) is treated as absent, swept or not.
 *
 * A promise resolves, or a value is returned, when the effect is as durable as the store makes it, and
 * from then on every method sees it. Every method is atomic unless it says
 * otherwise. Failures of the storage reject with `unavailable`, also after
 * `close`; no method throws.
 *
 * A token hash names the session also after its rotation, as long as `useOfOldToken` says. A
 * method that is given one after that ends the session and, when that is durable, rejects with
 * `not_found` and the `theft`. The session's own token is used by every method that is given it
 * and does not reject; that use is durable before the method answers.
 *
 * Given an idempotency key that was used before, a method does nothing and returns the first
 * answer, even if that call is still running; it rejects with `exists` if the first request was
 * another. Given a new key, the method keeps its answer, as durable as its effect; null and errors
 * are not kept. If the app's kept answers fill their quota, the method does nothing and rejects
 * with `limit`.
 */
export interface SessionStore {
  /** The app's policy, at once; `NO_POLICY` if none was set. */
  policy(app: string): AppPolicy;

  /** Sets the app's policy. Creations and touches called from then on obey it. Rejects with `limit`
   * if as many other apps have one as may (see `Quotas`). */
  setPolicy(app: string, policy: AppPolicy): Promise<void>;

  /**
   * Adds a session. Rejects with `exists` if the token hash or the id is taken. A caller's token
   * hash is taken also while it is an old one of a session, and an attempt to take it shows to
   * nobody who uses it, at no instant; one made here is not looked for first. In the same step it ends those of the user's sessions that live at its creation and
   * are too many by the app's policy (see `evictions`), or rejects with `limit`: at
   * no instant has the user more than may be. Rejects with `limit`, too, if the app would have more
   * than its quota, those that end in this step not counted, or would be one app too many.
   */
  create(
    session: Session,
    tokenHash: TokenHash,
    idempotencyKey?: IdempotencyKey,
    salt?: string,
    origin?: TokenOrigin,
  ): Promise<Created>;

  /** The session, unchanged; null if there is none. */
  peek(app: string, tokenHash: TokenHash, now: number): MaybePromise<Session | null>;

  /** Counts a read and restarts the idle time; null if there is none. The touch
   * may take a second to become durable; it is visible at once. A read that is no
   * touch by the app's policy (see `isTouchDue`) answers the same before and after. */
  touch(app: string, tokenHash: TokenHash, now: number): MaybePromise<SessionChange | null>;

  /**
   * Replaces the session by `change(session)`; null if there is none. `change`
   * must be pure, for a store may call it more than once, and leave id, app,
   * userId and createdAt alone. What it throws rejects this call and changes
   * nothing; so does `limit`, if the data of the app's sessions would grow beyond its quota. An
   * answer given again has the session after the change as `before` too.
   */
  update(
    app: string,
    tokenHash: TokenHash,
    now: number,
    change: (session: Session) => Session,
    idempotencyKey?: IdempotencyKey,
  ): Promise<SessionChange | null>;

  /**
   * Gives the session another token; null if there is none. Rejects with
   * `version_mismatch` if the token hash is an old one in its grace. After that, one that opens
   * the session yet is rotated again, and the token that nobody used is good no more. The last
   * OLD_TOKENS old ones are known, as long as the session lives.
   */
  rotate(
    app: string,
    tokenHash: TokenHash,
    now: number,
    rotation: Rotation,
    idempotencyKey?: IdempotencyKey,
  ): Promise<Rotated | null>;

  /** Ends one session; false if there is none. */
  delete(app: string, key: SessionKey, now: number, options?: DeleteOptions): Promise<boolean>;

  /**
   * Ends the user's sessions that exist now, all but `keep` and all in one step, and answers how
   * many. Null, and nothing ended, if `keep` is no live session of the user, unless
   * that is allowed.
   */
  deleteUser(
    app: string,
    userId: string,
    now: number,
    keep?: SessionKey,
    options?: DeleteUserOptions,
  ): Promise<number | null>;

  /**
   * Ends the app's sessions that exist now, all in one step, and answers how many.
   *
   * Where this or `deleteUser` ends many, they are dead at once and from then on, also after a
   * crash. What they take is reclaimed, and their ends are told of, batch by batch: by the call,
   * which answers after the last, or else by sweeps. If that fails on the way, the call rejects
   * although they are ended. The answer is kept with the last batch; a call under way is not
   * waited for. Until they are reclaimed their token hashes are taken.
   */
  deleteApp(app: string, now: number, idempotencyKey?: IdempotencyKey): Promise<number>;

  /** A page of the app's live sessions. */
  list(app: string, now: number, query: ListQuery): Promise<ListPage>;

  /** The app's live sessions of these ids, unchanged and in their order; those that are gone are
   * left out. */
  withIds(app: string, ids: readonly string[], now: number): Promise<Session[]>;

  /**
   * How many different users have a live session accessed at or after `since` (ms). What takes
   * long is done in pieces, each by `turn`; once `cancelled`, any number may be answered.
   */
  countActiveUsers(
    app: string,
    since: number,
    now: number,
    turn?: Turn,
    cancelled?: () => boolean,
  ): Promise<number>;

  /** Removes at most `limit` expired sessions, and as many answers kept too long; answers
   * whether there may be more. */
  sweep(now: number, limit: number): Promise<boolean>;

  /** Resolves if the store can serve; rejects with `unavailable` if it cannot. */
  ping(): Promise<void>;

  stats(): StoreStats;

  /** What happens to the sessions. A change that succeeds has its event, one that fails none. */
  readonly events: EventLog;

  /** Writes what is pending and releases everything. May be called again. */
  close(): Promise<void>;
}
