import { checkRequestId } from "../../domain/limits.js";
import { type IdempotencyKey, idempotencyKeyOf } from "../../domain/sessions/idempotency-key.js";
import { deriveBytes, newToken } from "../../domain/token.js";
import type { JsonObject } from "../../lib/json.js";
import type { RandomBytes } from "../../lib/random.js";

/** Returns the idempotency key of a request; undefined if it has no request id. */
export function readIdempotencyKey(
  rpc: string,
  request: { readonly app: string; readonly requestId?: string | undefined },
  now: number,
): IdempotencyKey | undefined {
  const { app, requestId } = request;
  if (!requestId) return undefined;
  const { requestId: _, ...body } = { ...request };
  return idempotencyKeyOf(
    rpc,
    { app, requestId: checkRequestId(requestId), now },
    body as JsonObject,
  );
}

const SALT_BYTES = 16;

/** A new token, and how to make it again once it is known which salt was kept for it. */
export interface TokenSource {
  readonly token: string;
  readonly salt: string;
  again(salt: string): string;
}

/** A token that the caller made: who repeats the request has it. */
export function broughtToken(token: string): TokenSource {
  return { token, salt: "", again: () => token };
}

/**
 * A random token; with a request id, one that follows from it and a random salt,
 * so that a repeated request can be answered the same although the token is not kept.
 */
export function createToken(randomBytes: RandomBytes, requestId: string | undefined): TokenSource {
  if (!requestId) {
    const token = newToken(randomBytes);
    return { token, salt: "", again: () => token };
  }
  const again = (salt: string) => newToken(deriveBytes(requestId, salt));
  const salt = Buffer.from(randomBytes(SALT_BYTES)).toString("base64url");
  return { token: again(salt), salt, again };
}
