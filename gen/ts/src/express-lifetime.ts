import type { SessionData } from "express-session";
import type { AppPolicy } from "../latchkey/session/v1/app_policy_pb.js";

/** Seconds: the limits of the server, and its idle limit where nobody asks for one. */
export const MIN_IDLE = 10;
const MAX_IDLE = 2_147_483_647;
const DEFAULT_IDLE = 7_200;

/**
 * Milliseconds that the cookie says the session lives unused; undefined where it ends with the
 * browser. Of a plain object that was never a Cookie, too.
 */
export function maxAgeOf(data: SessionData, now: number): number | undefined {
  const cookie = (data.cookie ?? {}) as {
    originalMaxAge?: unknown;
    maxAge?: unknown;
    expires?: unknown;
  };
  for (const age of [cookie.originalMaxAge, cookie.maxAge]) {
    if (typeof age === "number" && !Number.isNaN(age)) return age;
  }
  const { expires } = cookie;
  const isTime = expires instanceof Date || typeof expires === "string";
  const at = isTime ? new Date(expires).getTime() : Number.NaN;
  return Number.isNaN(at) ? undefined : at - now;
}

/** The idle limit in seconds that comes nearest: rounded up, 10 s to 68 years. */
export function idleSecondsOf(maxAge: number): number {
  return Math.min(MAX_IDLE, Math.max(MIN_IDLE, Math.ceil(maxAge / 1_000)));
}

/** The idle limit (s) that the policy gives to who asks for `wanted`, or for none. */
export function idleSecondsBy(policy: AppPolicy | undefined, wanted: number | undefined): number {
  const max = Number(policy?.maxIdleTtl?.seconds ?? MAX_IDLE);
  return Math.min(max, wanted ?? Number(policy?.defaultIdleTtl?.seconds ?? DEFAULT_IDLE));
}
