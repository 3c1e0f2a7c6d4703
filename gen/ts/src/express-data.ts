import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { SessionData } from "express-session";
import type { Session } from "../latchkey/session/v1/session_pb.js";
import { MIN_IDLE, maxAgeOf } from "./express-lifetime.js";

/** The key of an object that stands for a value which Latchkey cannot keep as it is. */
const AS_TEXT = "$json";
/** Latchkey takes 32 levels. */
const MAX_DEPTH = 30;
/** A surrogate that JSON.stringify escaped for having no other half. */
const HALF = /\\u[dD][89a-fA-F]/;

/** Top-level keys of a session, each value as JSON text: what JSON.stringify keeps, compared by value. */
export type Texts = ReadonlyMap<string, string>;

/**
 * What Latchkey keeps of express-session's data. When the cookie expires is not part of it: the
 * session does so in Latchkey, unless that is sooner than Latchkey can.
 */
export function toTexts(data: SessionData, now: number): Texts {
  const content = JSON.parse(JSON.stringify(data)) as JsonObject;
  const cookie = content["cookie"] as JsonObject | undefined;
  if (cookie) {
    const maxAge = maxAgeOf(data, now);
    if (maxAge === undefined || maxAge >= MIN_IDLE * 1_000) delete cookie["expires"];
  }
  return textsOf(content);
}

export const textsOf = (content: JsonObject): Texts =>
  new Map(Object.entries(content).map(([key, value]) => [key, JSON.stringify(value)]));

/** The texts as Latchkey takes them. */
export function toData(texts: Texts): JsonObject {
  return Object.fromEntries([...texts].map(([key, text]) => [key, encode(text)]));
}

/** The keys that differ, as an update takes them: those that are gone are null. */
export function changesBetween(before: Texts, after: Texts): JsonObject {
  const gone = [...before.keys()].filter((key) => !after.has(key));
  const changed = [...after].filter(([key, text]) => before.get(key) !== text);
  return Object.fromEntries([
    ...gone.map((key) => [key, null] as const),
    ...changed.map(([key, text]) => [key, encode(text)] as const),
  ]);
}

/** What was saved, with nothing of how Latchkey keeps it. */
export function contentOf({ data }: Session): JsonObject {
  const entries = Object.entries(data ?? {});
  return Object.fromEntries(entries.map(([key, value]) => [key, decode(value)]));
}

/**
 * The content as express-session takes it: a cookie that expires does so along with the session.
 * Undefined if it has expired where Latchkey could not end it so soon.
 */
export function toSessionData(session: Session, now: number): SessionData | undefined {
  const { cookie, ...content } = contentOf(session);
  const attributes = { ...(cookie as JsonObject | undefined) };
  const { originalMaxAge, expires } = attributes;
  if (typeof expires === "string" && new Date(expires).getTime() <= now) return undefined;
  const { expiresAt } = session;
  const end = typeof originalMaxAge === "number" && expiresAt ? timestampDate(expiresAt) : null;
  const until = typeof expires === "string" ? new Date(expires) : end;
  return { ...content, cookie: { ...attributes, expires: until } } as unknown as SessionData;
}

function encode(text: string): JsonValue {
  const value = JSON.parse(text) as JsonValue;
  // Null would remove the key, and the library that encodes messages drops __proto__.
  const isKept =
    value !== null &&
    !HALF.test(text) &&
    !text.includes('"__proto__"') &&
    !text.startsWith(`{"${AS_TEXT}"`) &&
    depthOf(value) <= MAX_DEPTH;
  return isKept ? value : { [AS_TEXT]: text };
}

function decode(value: JsonValue): JsonValue {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  const { [AS_TEXT]: text } = value;
  return typeof text === "string" ? (JSON.parse(text) as JsonValue) : value;
}

function depthOf(value: JsonValue): number {
  if (value === null || typeof value !== "object") return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}
