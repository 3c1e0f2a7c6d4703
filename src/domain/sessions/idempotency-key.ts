import { hash } from "node:crypto";
import { canonicalJson, type JsonObject } from "../../lib/json.js";
import { LatchkeyError } from "../error.js";

declare const requestHash: unique symbol;

/** SHA-256 in base64url (43 characters): all of a request that is ever kept. */
export type RequestHash = string & { readonly [requestHash]: true };

/** Names a request, so that its repetition is recognised and takes effect once. */
export interface IdempotencyKey {
  readonly app: string;
  /** Of its RPC, app and request id. */
  readonly key: RequestHash;
  /** Of all that it asks for. */
  readonly body: RequestHash;
  /** The caller's clock, and until when the answer is kept: milliseconds since 1970. */
  readonly now: number;
  readonly expiresAt: number;
}

/** The answer kept under an idempotency key. */
export interface AnswerRecord {
  readonly body: RequestHash;
  /** From this instant (ms) on it counts as absent. */
  readonly expiresAt: number;
  /** A store's answer to its method, as JSON. */
  readonly answer: string;
}

/** Milliseconds that an answer is kept. */
export const KEPT = 24 * 60 * 60 * 1000;

/** Returns the key of a call of `rpc` under `requestId`; `body` is the rest of the request. */
export function idempotencyKeyOf(
  rpc: string,
  { app, requestId, now }: { readonly app: string; readonly requestId: string; now: number },
  body: JsonObject,
): IdempotencyKey {
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
export function isAnsweredBy<T extends Pick<AnswerRecord, "body" | "expiresAt">>(
  idempotencyKey: IdempotencyKey,
  record: T | null | undefined,
): record is T {
  if (!record || record.expiresAt <= idempotencyKey.now) return false;
  if (record.body === idempotencyKey.body) return true;
  throw new LatchkeyError(
    "exists",
    "request_id was used for another request within 24 hours: each needs its own",
  );
}

function sha256(text: string): RequestHash {
  return hash("sha256", text, "base64url") as RequestHash;
}
