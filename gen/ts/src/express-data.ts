import type { JsonObject } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { SessionData } from "express-session";
import type { Session } from "../latchkey/session/v1/session_pb.js";

/** What Latchkey keeps of express-session's data: all but when the cookie expires. */
export function toData(data: SessionData): JsonObject {
  const { cookie, ...content } = JSON.parse(JSON.stringify(data)) as JsonObject;
  const { expires: _, ...attributes } = (cookie ?? {}) as JsonObject;
  return { ...content, cookie: attributes };
}

/** The data as express-session takes it: a cookie that expires does so along with the session. */
export function toSessionData({ data, expiresAt }: Session): SessionData {
  const { cookie, ...content } = { ...data };
  const attributes = { ...(cookie as JsonObject | undefined) };
  const { originalMaxAge } = attributes;
  const expires = typeof originalMaxAge === "number" && expiresAt ? timestampDate(expiresAt) : null;
  return { ...content, cookie: { ...attributes, expires } } as unknown as SessionData;
}

/** The top-level keys that differ, as an update takes them: those that are gone are null. */
export function changesBetween(before: JsonObject, after: JsonObject): JsonObject {
  const gone = Object.keys(before).filter((key) => !(key in after));
  const changed = Object.entries(after).filter(
    ([key, value]) => JSON.stringify(before[key]) !== JSON.stringify(value),
  );
  return Object.fromEntries([...gone.map((key) => [key, null] as const), ...changed]);
}

/** Whether the app put anything into the session. */
export function hasContent(data: object | undefined): boolean {
  return Object.keys(data ?? {}).some((key) => key !== "cookie");
}

/** How long the session lives unused: as long as its cookie. Without a limit the app's policy decides. */
export function idleTtlOf({ cookie }: SessionData): { idleTtl?: { seconds: bigint } } {
  const { originalMaxAge } = cookie ?? {};
  if (typeof originalMaxAge !== "number") return {};
  return { idleTtl: { seconds: BigInt(Math.max(10, Math.ceil(originalMaxAge / 1000))) } };
}
