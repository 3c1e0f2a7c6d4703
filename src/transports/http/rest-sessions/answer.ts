import { hasFixedDeadline, type Session } from "../../../domain/sessions/session.js";
import type { JsonObject } from "../../../lib/json.js";

export interface SessionAnswer {
  readonly id: string;
  readonly r: number;
  readonly w: number;
  readonly ttl: number;
  readonly idle: number;
  readonly ip: string;
  /** Only if it has a key. */
  d?: JsonObject;
  /** Only if true. */
  no_resave?: true;
}

/**
 * A session as rest-sessions answers it, with its keys in that order.
 *
 * `at` (ms) is the instant of the answer and `accessedAt` the last access before
 * it: a read answers how long the session was idle until then.
 */
export function sessionAnswer(
  session: Session,
  at: number,
  accessedAt = session.lastAccessedAt,
): SessionAnswer {
  const fixed = hasFixedDeadline(session);
  const answer: SessionAnswer = {
    id: session.userId,
    r: session.reads,
    w: session.writes,
    // A session whose deadline is fixed answers what is left of it.
    ttl:
      fixed && session.absoluteExpiresAt !== null
        ? Math.ceil((session.absoluteExpiresAt - at) / 1000)
        : session.idleTtl / 1000,
    idle: Math.floor(Math.max(0, at - accessedAt) / 1000),
    ip: session.ip,
  };
  if (Object.keys(session.data).length > 0) answer.d = session.data;
  if (fixed) answer.no_resave = true;
  return answer;
}
