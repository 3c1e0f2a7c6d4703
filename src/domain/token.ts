import { hash, hkdfSync } from "node:crypto";
import type { RandomBytes } from "../lib/random.js";

declare const tokenHash: unique symbol;

/** SHA-256 of a token, in base64url (43 characters): all of a token that is ever kept. */
export type TokenHash = string & { readonly [tokenHash]: true };

export const TOKEN_LENGTH = 64;

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
// The largest multiple of 62 that a byte can hold: bytes from here on would
// favour the first letters and are drawn again.
const UNBIASED = 256 - (256 % ALPHABET.length);

/** A new token: 64 characters of `[A-Za-z0-9]`, each equally likely (381 bits). */
export function newToken(randomBytes: RandomBytes): string {
  let token = "";
  while (token.length < TOKEN_LENGTH) {
    for (const byte of randomBytes(TOKEN_LENGTH + 8)) {
      if (byte < UNBIASED && token.length < TOKEN_LENGTH) token += ALPHABET[byte % ALPHABET.length];
    }
  }
  return token;
}

/**
 * Bytes that follow from a secret and a salt, by HKDF-SHA256 (RFC 5869): each call gives the next,
 * and another source of the same secret and salt gives the same.
 */
export function deriveBytes(secret: string, salt: string): RandomBytes {
  let calls = 0;
  return (size) =>
    new Uint8Array(hkdfSync("sha256", secret, salt, `latchkey token ${calls++}`, size));
}

/** The form of `token` that stores keep. */
export function hashToken(token: string): TokenHash {
  return hash("sha256", token, "base64url") as TokenHash;
}
