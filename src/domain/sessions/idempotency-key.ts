import { hash } from "node:crypto";
import { canonicalJson, type JsonObject } from "../../lib/json.js";
import { LatchkeyError } from "../error.js";

declare const requestHash: unique symbol;

/** SHA-256 in base64url (43 characters): all of a request that is ever kept. */
export type RequestHash = string & { readonly [requestHash]: true };

/** A call that may come again, and is carried out once. */
export interface Once {
  readonly app: string;
  /** Of its RPC, app and request id. */
  readonly key: RequestHash;
  /** Of all that it asks for. */
  readonly body: RequestHash;
  /** The caller's clock, and until when the answer is kept: milliseconds since 1970. */
  readonly now: number;
  readonly expiresAt: number;
}

/** How a call was answered. */
export interface RequestRecord {
  readonly body: RequestHash;
  /** From this instant (ms) on it counts as absent. */
  readonly expiresAt: number;
  /** A store's answer to its method, as JSON. */
  readonly answer: string;
}

/** Milliseconds that an answer is kept. */
export const KEPT = 24 * 60 * 60 * 1000;

/** What a call of `rpc` under `requestId` is known by. `body` is what it asks for. */
export function onceOf(
  rpc: string,
  { app, requestId, now }: { readonly app: string; readonly requestId: string; now: number },
  body: JsonObject,
): Once {
  return {
    app,
    key: sha256([rpc, app, requestId].join("\n")),
    body: sha256(canonicalJson(body)),
    now,
    expiresAt: now + KEPT,
  };
}

/**
 * Whether `record` answers the call; throws `exists` if it answered another
 * under the same request id.
 */
export function isAnsweredBy<T extends Pick<RequestRecord, "body" | "expiresAt">>(
  once: Once,
  record: T | null | undefined,
): record is T {
  if (!record || record.expiresAt <= once.now) return false;
  if (record.body === once.body) return true;
  throw new LatchkeyError(
    "exists",
    "request_id was used for another request within 24 hours: each needs its own",
  );
}

function sha256(text: string): RequestHash {
  return hash("sha256", text, "base64url") as RequestHash;
}
