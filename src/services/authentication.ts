import type { Account } from "../domain/account.js";
import type { Awaitable } from "../domain/awaitable.js";

/** Who was authenticated, and by what. */
export interface Identity {
  readonly account: Account;
  /** The API key it came by. */
  readonly keyId: number | null;
  /** How often the account's password had been set when it came by it; null if it did not. */
  readonly passwordChanges: number | null;
  /** The instant (ms) from which the key proves nothing; null: none. */
  readonly expiresAt: number | null;
}

/** `credential ended`: key revoked or expired, or password changed; `account ended`: disabled or
 * removed. */
export type Standing = "valid" | "credential ended" | "account ended";

export interface Authentication {
  /**
   * By the value of an `authorization` header, `Bearer lk_…` or `Basic …`; Bearer answers at once,
   * Basic by a promise. `address` is the peer's IP. Rejects or throws `unauthenticated` (unknown,
   * wrong, disabled, expired: one message), or `limit` (slow down).
   */
  byHeader(header: string, address: string): Awaitable<Identity>;

  byPassword(name: string, password: string, address: string): Promise<Identity>;

  /** The account that a verified client certificate names by its subject common name. */
  byCertificate(commonName: string): Identity;

  /** Whether an identity given earlier still holds. */
  standing(identity: Identity): Standing;
}
