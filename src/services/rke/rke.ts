import { type ErrorCode, invalid, LatchkeyError } from "../../domain/error.js";
import {
  type CipherName,
  decrypt,
  encrypt,
  NONCE_BYTES,
  TAG_BYTES,
} from "../../domain/rke/cipher.js";
import {
  type ContentServer,
  ExchangeError,
  type ExchangeFailure,
  type KeyExchange,
} from "../../domain/rke/key-exchange.js";
import type { Keyring, KeyUsage, RkeSession } from "../../domain/rke/keyring.js";
import {
  checkDomain,
  checkRkeSessionId,
  checkWalletPath,
  RKE_LIMITS,
} from "../../domain/rke/limits.js";
import type { RandomBytes } from "../../lib/random.js";
import { absent, checkAssociatedData, usedUp } from "./cipher-checks.js";
import { createKeySource } from "./key-source.js";
import type { CipherOperation, RkeObserver } from "./observer.js";
import { createRkeStreams } from "./streams.js";

export interface RkeOptions {
  readonly keyring: Keyring;
  readonly exchange: KeyExchange;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  readonly randomBytes: RandomBytes;
  /** Milliseconds. */
  readonly sessionTtl: number;
  /** Milliseconds that a key is kept for its domain; 0: not at all. */
  readonly keyCacheTtl: number;
  /** Messages that a key may encrypt by AES-256-GCM; RKE_LIMITS says how many are safe. */
  readonly gcmMessages?: number;
  readonly observer: RkeObserver;
}

export interface EncryptRequest {
  readonly sessionId: string;
  readonly cipher: CipherName;
  readonly items: readonly Plaintext[];
}

export interface Plaintext {
  readonly plaintext: Uint8Array;
  readonly associatedData: Uint8Array;
}

export interface DecryptRequest {
  readonly sessionId: string;
  readonly cipher: CipherName;
  readonly items: readonly Ciphertext[];
}

export interface Ciphertext {
  readonly ciphertext: Uint8Array;
  readonly nonce: Uint8Array;
  readonly associatedData: Uint8Array;
}

/** An item's ciphertext (GCM: its tag at the end) with the nonce that decrypts it. */
export interface Encrypted {
  readonly ciphertext: Buffer;
  readonly nonce: Uint8Array;
}

export type Rke = ReturnType<typeof createRke>;

/**
 * The use cases of RKE sessions. Every method checks its input and throws or rejects with
 * `invalid`, naming the field as the .proto files call it, before anything happens; those
 * that name a session with `not_found` if there is no live one of that id.
 */
export function createRke(options: RkeOptions) {
  const { keyring, exchange, now, clock, randomBytes, sessionTtl, keyCacheTtl, observer } = options;
  const { gcmMessages = RKE_LIMITS.gcmMessages } = options;
  const { exchanged } = observer;
  const keys = createKeySource({
    keyring,
    exchange,
    now,
    clock,
    cacheTtl: keyCacheTtl,
    exchanged,
  });

  /** Runs `one` on each item with the session's key, and counts those that succeed. */
  const each = <I, R extends object>(
    operation: CipherOperation,
    { sessionId, cipher, items }: { sessionId: string; cipher: CipherName; items: readonly I[] },
    one: (key: Buffer, item: I, usage: KeyUsage) => R,
    bytesOf: (item: I, result: R) => number,
  ): (R | LatchkeyError)[] => {
    checkRkeSessionId(sessionId);
    checkItems(items);
    let messages = 0;
    let bytes = 0;
    const results = keyring.use(sessionId, now(), (key, origin, usage) => {
      const all = items.map((item) => {
        try {
          const result = one(key, item, origin.usage);
          messages++;
          bytes += bytesOf(item, result);
          return result;
        } catch (error) {
          if (error instanceof LatchkeyError) return error;
          throw error;
        }
      });
      usage[`${operation}s`] += messages;
      return all;
    });
    if (!results) return absent();
    observer.ciphered(operation, cipher, messages, bytes);
    return results;
  };

  return {
    ...createRkeStreams({ keyring, now, randomBytes, gcmMessages, observer }),

    /** What DNS tells of a domain's Content Server. Rejects as EXCHANGE_CODES says. */
    async discover(domain: string): Promise<ContentServer> {
      const name = checkDomain(domain);
      return exchange.discover(name).catch(rethrow);
    },

    /**
     * Starts a session with a domain's Content Server. Rejects with `limit` if every place is
     * taken, and as EXCHANGE_CODES says; the place is free again then.
     */
    async create(request: {
      readonly domain: string;
      readonly walletPath: string;
    }): Promise<{ session: RkeSession; fromCache: boolean }> {
      const domain = checkDomain(request.domain);
      const walletPath = checkWalletPath(request.walletPath);
      const slot = keyring.reserve(now());
      if (!slot) {
        const { slots } = keyring.stats();
        throw new LatchkeyError(
          "limit",
          `there are ${slots} sessions, the most that there may be: delete one, or wait until one expires`,
        );
      }
      try {
        const { origin, fromCache } = await keys.obtain(domain, walletPath, slot.key);
        const createdAt = now();
        const lifetime = { createdAt, expiresAt: createdAt + sessionTtl };
        const id = Buffer.from(randomBytes(16)).toString("hex");
        return { session: slot.open(id, origin, lifetime), fromCache };
      } catch (error) {
        return rethrow(error);
      } finally {
        slot.release();
      }
    },

    get(sessionId: string): RkeSession {
      return keyring.get(checkRkeSessionId(sessionId), now()) ?? absent();
    },

    /** All live sessions, the oldest first; `total` counts expired ones not yet swept, too. */
    list(): { sessions: RkeSession[]; total: number } {
      return { sessions: keyring.list(now()), total: keyring.stats().sessions };
    },

    /** Ends a session; with `forgetKey` the key that is kept for its domain goes, too. */
    delete(sessionId: string, forgetKey = false): void {
      const { origin } = keyring.delete(checkRkeSessionId(sessionId), now()) ?? absent();
      if (forgetKey) keyring.forget(origin.domain);
    },

    /** What became of each item, in their order. */
    encrypt(request: EncryptRequest): (Encrypted | LatchkeyError)[] {
      const { cipher } = request;
      const encryptOne = (
        key: Buffer,
        { plaintext, associatedData }: Plaintext,
        usage: KeyUsage,
      ): Encrypted => {
        checkAssociatedData(cipher, associatedData);
        if (cipher === "aes-256-gcm") {
          if (usage.gcmMessages >= gcmMessages) throw usedUp(gcmMessages);
          usage.gcmMessages++;
        }
        const nonce = randomBytes(NONCE_BYTES[cipher]);
        return { nonce, ciphertext: encrypt({ cipher, key, nonce, associatedData }, plaintext) };
      };
      return each("encrypt", request, encryptOne, ({ plaintext }) => plaintext.length);
    },

    /** What became of each item, in their order: its plaintext, if it was not altered. */
    decrypt(request: DecryptRequest): (Buffer | LatchkeyError)[] {
      const { cipher } = request;
      const decryptOne = (key: Buffer, item: Ciphertext): Buffer => {
        const { nonce, ciphertext, associatedData } = item;
        checkAssociatedData(cipher, associatedData);
        checkLengths(cipher, item);
        const plaintext = decrypt({ cipher, key, nonce, associatedData }, ciphertext);
        if (plaintext) return plaintext;
        throw invalid(
          "ciphertext",
          "value",
          "ciphertext, nonce or associated_data was altered, or the session has another key",
        );
      };
      return each("decrypt", request, decryptOne, (_item, plaintext) => plaintext.length);
    },
  };
}

/** The code of each failure of an exchange. All of `unavailable` may go better another time. */
export const EXCHANGE_CODES = {
  no_such_domain: "not_found",
  no_srv: "not_found",
  no_txt: "not_found",
  no_usable_key_set: "not_found",
  wallet_missing: "invalid",
  wallet_empty: "invalid",
  wallet_unreadable: "invalid",
  wallet_refused: "invalid",
  too_few_shares: "unavailable",
  share_too_short: "unavailable",
  dns_failed: "unavailable",
} as const satisfies Record<ExchangeFailure, ErrorCode>;

/** Throws an exchange's failure as an error for callers, and any other as it is. */
function rethrow(error: unknown): never {
  if (!(error instanceof ExchangeError)) throw error;
  const { reason, message } = error;
  const code = EXCHANGE_CODES[reason];
  throw new LatchkeyError(code, message, {
    cause: error,
    facts: { exchange_reason: reason },
    ...(code === "invalid" ? { violation: { field: "wallet_path", problem: "value" } } : {}),
  });
}

function checkItems({ length }: readonly unknown[]): void {
  if (length > 0 && length <= RKE_LIMITS.items) return;
  if (length === 0) throw invalid("items", "missing", "items must have at least one item");
  throw invalid("items", "value", `items must be at most ${RKE_LIMITS.items}; there are ${length}`);
}

function checkLengths(cipher: CipherName, { nonce, ciphertext }: Ciphertext): void {
  const bytes = NONCE_BYTES[cipher];
  if (nonce.length !== bytes) {
    const problem = nonce.length === 0 ? "missing" : "format";
    throw invalid("nonce", problem, `nonce must be ${bytes} bytes; it has ${nonce.length}`);
  }
  if (cipher === "aes-256-gcm" && ciphertext.length < TAG_BYTES) {
    throw invalid(
      "ciphertext",
      "format",
      `ciphertext must be at least ${TAG_BYTES} bytes, its tag being the last`,
    );
  }
}
