import { invalid } from "../../../domain/error.js";
import { checkToken, isMintedToken, LIMITS } from "../../../domain/limits.js";
import { isJsonObject, type JsonObject } from "../../../lib/json.js";
import type { Sessions } from "../../../services/sessions/sessions.js";

/**
 * The whole seconds of a query parameter. Throws `invalid` with the message that
 * rest-sessions has for both ttl and dt.
 */
export function readSeconds(field: string, value: unknown): number {
  const seconds = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : 0;
  if (seconds >= LIMITS.ttlMin && seconds <= LIMITS.ttlMax) return seconds;
  throw invalid(
    field,
    "value",
    seconds > LIMITS.ttlMax
      ? `ttl must be a positive integer <= ${LIMITS.ttlMax}`
      : `ttl must be a positive integer >= ${LIMITS.ttlMin}`,
  );
}

/** A query parameter that is `true` (or `1`), or `false` (or `0`, empty, absent). */
export function readFlag(field: string, value: unknown): boolean {
  if (value === "true" || value === "1") return true;
  if (value === undefined || value === "" || value === "false" || value === "0") return false;
  throw invalid(field, "value", `${field} must be true or false`);
}

/** A parameter as text. */
export function readText(value: unknown): string {
  return value === undefined ? "" : String(value);
}

/**
 * A token in a path. Of an app that takes no tokens of callers it must have the form that
 * rest-sessions gave tokens: that of another is an error there, not a session that is not found.
 */
export function readToken(
  value: string | undefined,
  app: string,
  sessions: Pick<Sessions, "getPolicy">,
): string {
  const token = value ?? "";
  if (token === "" || isMintedToken(token) || sessions.getPolicy(app).callerTokens)
    return checkToken(token);
  throw invalid("token", "format", "token must be 64 characters of [A-Za-z0-9]");
}

/** The keys to set, in a body: an object of plain values with at least one key. */
export function readData(body: unknown): JsonObject {
  if (body === undefined || body === null) throw invalid("d", "missing", "No d supplied");
  if (!isJsonObject(body)) throw invalid("d", "value", "d must be an object");
  const keys = Object.keys(body);
  if (keys.length === 0) throw invalid("d", "value", "d must containt at least one key.");
  for (const key of keys) {
    if (typeof body[key] !== "object" || body[key] === null) continue;
    throw invalid(
      "d",
      "value",
      `d.${key} has a forbidden type. Only strings, numbers, boolean and null are allowed.`,
    );
  }
  return body;
}

/** The data of a new session: as `readData`, but an empty body or object means none. */
export function readInitialData(body: unknown): JsonObject {
  const isNone =
    body === undefined || body === null || (isJsonObject(body) && Object.keys(body).length === 0);
  return isNone ? {} : readData(body);
}
