import { invalid } from "../../domain/error.js";
import { checkApp, checkSeconds, LIMITS } from "../../domain/limits.js";
import {
  type AppPolicy,
  type AtLimit,
  absoluteTtlUnder,
  type Binding,
  idleTtlUnder,
} from "../../domain/sessions/app-policy.js";
import type { Session } from "../../domain/sessions/session.js";
import type { SessionStore } from "../../domain/sessions/session-store.js";
import type { CreateRequest } from "./requests.js";

/** A whole policy as it is asked for; durations in seconds, what is absent is no rule. */
export interface PolicyRequest {
  readonly defaultIdleTtl?: number;
  readonly maxIdleTtl?: number;
  readonly defaultAbsoluteTtl?: number;
  readonly maxAbsoluteTtl?: number;
  /** 0: any number. */
  readonly maxSessionsPerUser: number;
  readonly atLimit: AtLimit;
  readonly bindIp: Binding;
  readonly bindUserAgent: Binding;
  readonly touchInterval?: number;
  readonly callerTokens: boolean;
}

/** The use cases of the apps' policies, to the same terms as those of sessions. */
export function createAppPolicies(store: Pick<SessionStore, "policy" | "setPolicy">) {
  return {
    /** The app's policy; it need not have been set. */
    getPolicy(app: string): AppPolicy {
      return store.policy(checkApp(app));
    },

    /** Sets the app's policy and answers it. */
    async setPolicy(app: string, request: PolicyRequest): Promise<AppPolicy> {
      checkApp(app);
      const policy = checkPolicy(request);
      await store.setPolicy(app, policy);
      return policy;
    },
  };
}

/** The limits of a new session's life: as asked for, else the policy's; `invalid` if too long. */
export function lifetimeOf(
  policy: AppPolicy,
  request: Pick<CreateRequest, "idleTtl" | "absoluteTtl" | "isFixed">,
  createdAt: number,
): Pick<Session, "idleTtl" | "absoluteExpiresAt"> {
  const asked = (field: string, seconds: number | undefined) =>
    seconds === undefined ? undefined : checkSeconds(field, seconds);
  const idleTtl = idleTtlUnder(policy, asked("idle_ttl", request.idleTtl));
  const absoluteTtl = request.isFixed
    ? Math.min(idleTtl, policy.maxAbsoluteTtl ?? Number.POSITIVE_INFINITY)
    : absoluteTtlUnder(policy, asked("absolute_ttl", request.absoluteTtl));
  return { idleTtl, absoluteExpiresAt: absoluteTtl === null ? null : createdAt + absoluteTtl };
}

function checkPolicy(request: PolicyRequest): AppPolicy {
  const { defaultIdleTtl, maxIdleTtl, defaultAbsoluteTtl, maxAbsoluteTtl } = request;
  return {
    defaultIdleTtl: checkDefault("idle_ttl", defaultIdleTtl, maxIdleTtl),
    maxIdleTtl: checkOptional("policy.max_idle_ttl", maxIdleTtl),
    defaultAbsoluteTtl: checkDefault("absolute_ttl", defaultAbsoluteTtl, maxAbsoluteTtl),
    maxAbsoluteTtl: checkOptional("policy.max_absolute_ttl", maxAbsoluteTtl),
    maxSessionsPerUser: checkRange(
      "policy.max_sessions_per_user",
      "a number",
      request.maxSessionsPerUser,
      [0, LIMITS.sessionsPerUser],
    ),
    atLimit: request.atLimit,
    bindIp: request.bindIp,
    bindUserAgent: request.bindUserAgent,
    touchInterval:
      request.touchInterval === undefined
        ? 0
        : 1000 *
          checkRange("policy.touch_interval", "a whole number of seconds", request.touchInterval, [
            1,
            LIMITS.touchInterval,
          ]),
    callerTokens: request.callerTokens,
  };
}

/** Seconds in, milliseconds out. */
function checkOptional(field: string, seconds: number | undefined): number | null {
  return seconds === undefined ? null : checkSeconds(field, seconds);
}

function checkDefault(
  limit: string,
  seconds: number | undefined,
  max: number | undefined,
): number | null {
  const field = `policy.default_${limit}`;
  if (seconds === undefined || max === undefined || seconds <= max) {
    return checkOptional(field, seconds);
  }
  throw invalid(field, "value", `${field} must be at most policy.max_${limit}, ${max} s`);
}

function checkRange(
  field: string,
  kind: string,
  value: number,
  [min, max]: readonly [min: number, max: number],
): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalid(field, "value", `${field} must be ${kind} from ${min} to ${max}`);
}
