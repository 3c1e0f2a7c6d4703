import { hasFixedDeadline, type Session } from "../../../domain/session.js";

/**
 * A session as rest-sessions answers it, with its keys in that order.
 *
 * `at` (ms) is the instant of the answer and `accessedAt` the last access before
 * it: a read answers how long the session was idle until then.
 */
export function sessionAnswer(session: Session, at: number, accessedAt = session.lastAccessedAt) {
  const fixed = hasFixedDeadline(session);
  return {
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
    ...(Object.keys(session.data).length > 0 ? { d: session.data } : {}),
    ...(fixed ? { no_resave: true } : {}),
  };
}
