import { invalid, LatchkeyError } from "../error.js";
import { LIMITS } from "../limits.js";
import type { Session } from "./session.js";

/** What happens to a creation for a user that has as many sessions as may be. */
export type AtLimit = "refuse" | "evict_oldest" | "evict_least_recently_used";

/** What happens to a session that is read with something else than it was created with. */
export type Binding = "off" | "report" | "end";

/** What an app asks of all of its sessions. Immutable; durations are milliseconds, null: no rule. */
export interface AppPolicy {
  /** Of sessions whose creation asks for none; at most the maximum. */
  readonly defaultIdleTtl: number | null;
  readonly maxIdleTtl: number | null;
  /** The same, from creation. */
  readonly defaultAbsoluteTtl: number | null;
  readonly maxAbsoluteTtl: number | null;
  /** The most live sessions of a user; 0: any number. */
  readonly maxSessionsPerUser: number;
  readonly atLimit: AtLimit;
  readonly bindIp: Binding;
  readonly bindUserAgent: Binding;
  /** Reads this soon after the last access are no touch; 0: every read is one. */
  readonly touchInterval: number;
  /** Whether a creation may bring the token of its session. */
  readonly callerTokens: boolean;
}

/** The policy of an app that was given none. */
export const NO_POLICY: AppPolicy = {
  defaultIdleTtl: null,
  maxIdleTtl: null,
  defaultAbsoluteTtl: null,
  maxAbsoluteTtl: null,
  maxSessionsPerUser: 0,
  atLimit: "refuse",
  bindIp: "off",
  bindUserAgent: "off",
  touchInterval: 0,
  callerTokens: false,
};

/** The idle limit (ms) of a session that asks for `asked`; `invalid` if that is too long. */
export function idleTtlUnder(policy: AppPolicy, asked: number | undefined): number {
  if (asked !== undefined) return checkIdleTtl(policy, asked);
  return (
    policy.defaultIdleTtl ??
    Math.min(LIMITS.ttlDefault * 1000, policy.maxIdleTtl ?? Number.POSITIVE_INFINITY)
  );
}

/** The same of the absolute limit; null: it has none. */
export function absoluteTtlUnder(policy: AppPolicy, asked: number | undefined): number | null {
  const { maxAbsoluteTtl } = policy;
  if (asked === undefined) return policy.defaultAbsoluteTtl ?? maxAbsoluteTtl;
  if (maxAbsoluteTtl === null || asked <= maxAbsoluteTtl) return asked;
  throw tooLong("absolute_ttl", maxAbsoluteTtl);
}

/** An idle limit (ms) that is asked for; `invalid` if the policy allows only shorter ones. */
export function checkIdleTtl({ maxIdleTtl }: AppPolicy, asked: number): number {
  if (maxIdleTtl === null || asked <= maxIdleTtl) return asked;
  throw tooLong("idle_ttl", maxIdleTtl);
}

/** A new absolute deadline (ms) of a session; `invalid` if the policy allows only earlier ones. */
export function checkDeadline(
  { maxAbsoluteTtl }: AppPolicy,
  { createdAt }: Session,
  deadline: number,
): number {
  if (maxAbsoluteTtl === null || deadline <= createdAt + maxAbsoluteTtl) return deadline;
  const last = new Date(createdAt + maxAbsoluteTtl).toISOString();
  throw invalid(
    "absolute_ttl",
    "value",
    `absolute_ttl must end by ${last}: sessions of the app live at most ${maxAbsoluteTtl / 1000} s`,
  );
}

/** Throws `forbidden` unless the app's policy takes tokens that callers bring. */
export function checkCallerTokens(app: string, { callerTokens }: AppPolicy): void {
  if (callerTokens) return;
  throw new LatchkeyError(
    "forbidden",
    `the policy of the app ${app} takes no token of a caller: leave token out, or have an Admin set caller_tokens in it, for instance by grpcurl -plaintext -d '{"app":"${app}","policy":{"caller_tokens":true}}' localhost:50051 latchkey.session.v1.SessionService/SetAppPolicy, which sets the whole policy`,
  );
}

/**
 * Those of a user's live sessions, given in the order of their creation, that must
 * end so that one more can be created. Throws `limit` if the policy refuses that.
 */
export function evictions<T extends { readonly session: Pick<Session, "lastAccessedAt"> }>(
  { maxSessionsPerUser, atLimit }: AppPolicy,
  live: readonly T[],
): readonly T[] {
  const excess = live.length + 1 - maxSessionsPerUser;
  if (maxSessionsPerUser === 0 || excess <= 0) return [];
  switch (atLimit) {
    case "refuse":
      throw new LatchkeyError(
        "limit",
        `the user has as many sessions as the app allows (${maxSessionsPerUser}): end one of them first`,
      );
    case "evict_oldest":
      return live.slice(0, excess);
    case "evict_least_recently_used":
      return live
        .toSorted((a, b) => a.session.lastAccessedAt - b.session.lastAccessedAt)
        .slice(0, excess);
  }
}

/** Whether a read at `now` (ms) touches the session; it can always keep the session alive. */
export function isTouchDue({ touchInterval }: AppPolicy, session: Session, now: number): boolean {
  return (
    touchInterval === 0 ||
    now - session.lastAccessedAt >= Math.min(touchInterval, session.idleTtl / 2)
  );
}

function tooLong(field: string, max: number): LatchkeyError {
  return invalid(field, "value", `${field} must be at most ${max / 1000} s in this app`);
}
