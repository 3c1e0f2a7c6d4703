import { invalid, LatchkeyError } from "../../domain/error.js";
import type { CipherName } from "../../domain/rke/cipher.js";

/** Throws `invalid` for associated data with a cipher that authenticates nothing. */
export function checkAssociatedData(cipher: CipherName, { length }: Uint8Array): void {
  if (cipher === "aes-256-gcm" || length === 0) return;
  throw invalid(
    "associated_data",
    "value",
    "associated_data must be empty with AES_256_CTR, which authenticates nothing",
  );
}

/** The refusal of a key that has encrypted as many messages as it may. */
export function usedUp(messages: number): LatchkeyError {
  return new LatchkeyError(
    "limit",
    `the key has encrypted ${messages} messages by AES_256_GCM, the most that are safe: delete the session with forget_key and create another`,
  );
}

/** Throws `not_found`. */
export function absent(): never {
  throw new LatchkeyError("not_found", "there is no live RKE session of this id");
}
