import type { RequestHash } from "../../../domain/sessions/idempotency-key.js";
import type { TokenHash } from "../../../domain/token.js";

export type Value = string | number | null;

/** One statement of a table, by name, and its values: plain data that another thread can run. */
export type Write<Statement extends string> = readonly [statement: Statement, ...values: Value[]];

/** Returns a hash as `unhex(?)` takes it. */
export function toHex(hash: TokenHash | RequestHash): string {
  return Buffer.from(hash, "base64url").toString("hex");
}
