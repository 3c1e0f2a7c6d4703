import { findJsonFlaw, type JsonObject } from "../lib/json.js";
import { invalid } from "./error.js";
import { TOKEN_LENGTH } from "./token.js";

/** Bounds of the domain; the .proto comments state the same numbers. */
export const LIMITS = {
  /** Characters of a user_id. */
  userId: 128,
  ip: 39,
  userAgent: 512,
  /** Bytes of a session's data as compact JSON in UTF-8. */
  dataBytes: 60_000,
  /** Levels of objects and arrays in data. Each costs three levels of protobuf
   * messages, and some languages' decoders stop at 100. */
  dataDepth: 32,
  /** Seconds; the maximum is 68 years, the largest signed 32-bit number. */
  ttlMin: 10,
  ttlMax: 2 ** 31 - 1,
  ttlDefault: 7_200,
  pageSize: 1_000,
  pageSizeDefault: 100,
  /** Bytes of data after which a page of a list ends. */
  pageBytes: 1_048_576,
  /** Tokens of a batch. */
  batch: 1_000,
  /** Bytes of sessions as messages after which a batch is answered no more, and a page of a list
   * ends; gRPC's clients take 4 MiB by default. */
  batchBytes: 3_145_728,
  /** Seconds that a rotated token may stay good. */
  graceMax: 300,
  graceDefault: 30,
  /** Characters of a token. The least holds 128 bits in the alphabet of base64url. */
  tokenMin: 22,
  tokenMax: 256,
  /** The largest cap that a policy may set. */
  sessionsPerUser: 1_000,
  /** Seconds that a policy may have reads not count. */
  touchInterval: 86_400,
  /** Apps that a store has something of, and those that have a policy; each takes some 300 bytes
   * of memory. */
  apps: 100_000,
  policies: 100_000,
} as const;

const APP = /^[A-Za-z0-9_-]{3,20}$/;
const MINTED_TOKEN = /^[A-Za-z0-9]*$/;
const TOKEN = /^[A-Za-z0-9_-]*$/;
const SESSION_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const REQUEST_ID = /^[A-Za-z0-9_-]{16,64}$/;
const CONTROL = /\p{Cc}/u;

// Each check below returns what it was given or throws `invalid`, naming `field`.

export function checkApp(app: string): string {
  if (APP.test(app)) return app;
  if (app === "") throw missing("app");
  throw invalid("app", "format", "app must be 3 to 20 characters of [A-Za-z0-9_-]");
}

export function checkToken(token: string, field = "token"): string {
  const { length } = token;
  const hasLength = length >= LIMITS.tokenMin && length <= LIMITS.tokenMax;
  if (hasLength && TOKEN.test(token)) return token;
  if (token === "") throw missing(field);
  // The message must not repeat the value: it may be a real token with a typo.
  const lengths = `${LIMITS.tokenMin} to ${LIMITS.tokenMax}`;
  throw invalid(field, "format", `${field} must be ${lengths} characters of [A-Za-z0-9_-]`);
}

/** Whether the token has the form of those that this server makes. */
export function isMintedToken(token: string): boolean {
  return token.length === TOKEN_LENGTH && MINTED_TOKEN.test(token);
}

export function checkSessionId(id: string, field = "session_id"): string {
  if (SESSION_ID.test(id)) return id;
  if (id === "") throw missing(field);
  throw invalid(field, "format", `${field} must be a UUID in lower-case 36-character form`);
}

export function checkUserId(userId: string): string {
  return checkText("user_id", userId, LIMITS.userId);
}

export function checkIp(ip: string): string {
  return checkText("ip", ip, LIMITS.ip);
}

export function checkUserAgent(userAgent: string): string {
  return checkText("user_agent", userAgent, LIMITS.userAgent);
}

/** Seconds in, milliseconds out. */
export function checkSeconds(field: string, seconds: number): number {
  if (Number.isInteger(seconds) && seconds >= LIMITS.ttlMin && seconds <= LIMITS.ttlMax) {
    return seconds * 1000;
  }
  throw invalid(
    field,
    "value",
    `${field} must be a whole number of seconds from ${LIMITS.ttlMin} to ${LIMITS.ttlMax}`,
  );
}

/** Seconds in, milliseconds out. */
export function checkGrace(seconds: number): number {
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= LIMITS.graceMax) {
    return seconds * 1000;
  }
  const range = `from 0 to ${LIMITS.graceMax}`;
  throw invalid("grace", "value", `grace must be a whole number of seconds ${range}`);
}

export function checkRequestId(requestId: string): string {
  if (REQUEST_ID.test(requestId)) return requestId;
  // The message must not repeat the value: a token may be computed from it.
  throw invalid("request_id", "format", "request_id must be 16 to 64 characters of [A-Za-z0-9_-]");
}

export function checkPageSize(size: number): number {
  if (size === 0) return LIMITS.pageSizeDefault;
  if (Number.isInteger(size) && size > 0 && size <= LIMITS.pageSize) return size;
  throw invalid("page_size", "value", `page_size must be from 0 to ${LIMITS.pageSize}`);
}

export function checkData(data: JsonObject): JsonObject {
  switch (findJsonFlaw(data, LIMITS.dataDepth)) {
    case "depth":
      throw invalid("data", "value", `data must be nested at most ${LIMITS.dataDepth} levels`);
    case "unicode":
      throw invalid("data", "value", "data must be Unicode text: it has a lone surrogate");
    case "number":
      throw invalid("data", "value", "data must hold finite numbers only");
  }
  const bytes = Buffer.byteLength(JSON.stringify(data));
  if (bytes <= LIMITS.dataBytes) return data;
  throw invalid(
    "data",
    "value",
    `data must be at most ${LIMITS.dataBytes} bytes as JSON; it would be ${bytes}`,
  );
}

/** Text of 1 to `max` code points, none of them a control character. */
export function checkText(field: string, text: string, max: number): string {
  if (text === "") throw missing(field);
  if (isText(text, max)) return text;
  throw invalid(
    field,
    "format",
    `${field} must be 1 to ${max} characters of Unicode text without control characters`,
  );
}

/** Whether it is Unicode text of at most `max` code points without control characters. */
export function isText(text: string, max: number): boolean {
  // A code point takes one or two UTF-16 units, so most texts need no counting.
  const fits = text.length <= max || (text.length <= 2 * max && [...text].length <= max);
  return fits && !CONTROL.test(text) && text.isWellFormed();
}

function missing(field: string) {
  return invalid(field, "missing", `${field} is required`);
}
