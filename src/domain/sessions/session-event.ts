import type { EndReason } from "./end-reason.js";
import { isLive, type Lifetime, type Session } from "./session.js";

export type SessionEventType = "created" | "updated" | "touched" | "rotated" | "ended";

/** What happened to one session: never its data, never a token. */
export interface SessionEvent {
  /**
   * Grows by one with every event of the store but touches; those carry the revision of the
   * event before them.
   */
  readonly revision: number;
  readonly type: SessionEventType;
  readonly app: string;
  readonly sessionId: string;
  readonly userId: string;
  /** The session's version after it. */
  readonly version: number;
  /** Milliseconds since 1970; of a session that expired, its deadline. */
  readonly occurredAt: number;
  /** Null unless the session ended. */
  readonly endReason: EndReason | null;
}

/** The part of a session that events tell of. */
export type EventSubject = Lifetime & Pick<Session, "app" | "id" | "userId" | "version">;

/** A session's end: when it came (ms), and why. */
export interface End {
  readonly at: number;
  readonly reason: EndReason;
}

/** The end of a session that is removed at `now`, for `cause` unless it had expired before. */
export function endOf(session: EventSubject, now: number, cause: EndReason): End {
  if (isLive(session, now)) return { at: now, reason: cause };
  const idleDeadline = session.lastAccessedAt + session.idleTtl;
  const { absoluteExpiresAt } = session;
  return absoluteExpiresAt !== null && absoluteExpiresAt <= idleDeadline
    ? { at: absoluteExpiresAt, reason: "absolute" }
    : { at: idleDeadline, reason: "idle" };
}

/** The event of a change of `session` at `now`; `cause` says why it is removed. */
export function eventOf(
  revision: number,
  type: SessionEventType,
  session: EventSubject,
  now: number,
  cause: EndReason | null,
): SessionEvent {
  const { app, id: sessionId, userId, version } = session;
  const end = cause && endOf(session, now, cause);
  const occurredAt = end?.at ?? now;
  return {
    revision,
    type,
    app,
    sessionId,
    userId,
    version,
    occurredAt,
    endReason: end?.reason ?? null,
  };
}
