import type { CipherName } from "../../domain/rke/cipher.js";
import type { ExchangeFailure } from "../../domain/rke/key-exchange.js";

/** Called as keys are made and used, for metrics; must not throw. */
export interface RkeObserver {
  /** An exchange ended; `fault` is one of the server's own. */
  exchanged(outcome: "ok" | "fault" | ExchangeFailure, seconds: number): void;
  /** Messages of `bytes` bytes of plaintext together were encrypted or decrypted. */
  ciphered(operation: CipherOperation, cipher: CipherName, messages: number, bytes: number): void;
}

export type CipherOperation = "encrypt" | "decrypt";
