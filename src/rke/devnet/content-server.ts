import { createDecipheriv } from "node:crypto";
import { LatchkeyError } from "../../domain/error.js";
import type { DerivedKey } from "../../domain/rke/key-exchange.js";
import { deriveKey, deriveShare, KEY_LENGTH } from "../derivation.js";
import { RAIDAS } from "../packet.js";
import { xor } from "../xor.js";
import type { Exchange } from "./exchanges.js";

/** A key set with the secrets that the Content Server uploaded for it. */
export interface UploadedKeySet {
  /** Its number, a byte. */
  readonly keyId: number;
  /** 1 to 16 characters of visible ASCII. */
  readonly csId: string;
  /** 25 secrets of 32 bytes, one for each RAIDA server. */
  readonly secrets: readonly Buffer[];
}

export type DevnetCipher = "AES_256_GCM" | "AES_256_CTR";

/** What a client encrypted. */
export interface Sealed {
  readonly cipher: DevnetCipher;
  /** Of GCM with its tag of 16 bytes at the end. */
  readonly ciphertext: Buffer;
  /** 12 bytes for GCM, 16 for CTR. */
  readonly nonce: Buffer;
  /** Of GCM; else empty. */
  readonly associatedData: Buffer;
  /** The exchange that the key is of, by its client serial in hexadecimal; null: any that is remembered. */
  readonly clientSerial: string | null;
  /** The bitmap of the RAIDA servers whose shares the client took; null: to be found out. */
  readonly raidas: number | null;
}

export interface Opened {
  readonly plaintext: Buffer;
  /** What the key that fits is derived from. */
  readonly key: DerivedKey;
}

export interface ContentServer {
  /**
   * The 32-byte key that these make with the server's own secrets. Throws `not_found` if there is
   * no such key set, `invalid` if the bitmap has no server or one that does not exist.
   */
  derive(key: DerivedKey): Buffer;
  /**
   * Decrypts what a client encrypted. With GCM it tries the keys of the exchanges that it
   * remembers. CTR cannot tell a wrong key, so the first key is taken: of the newest exchange, with
   * all RAIDA servers that gave a share. Throws `not_found` if no key fits.
   */
  decrypt(sealed: Sealed): Opened;
}

export interface ContentServerOptions {
  readonly keySets: readonly UploadedKeySet[];
  /** Bytes of a share. */
  readonly shareBytes: number;
  /** Those that may be meant, the newest first. */
  readonly exchanges: () => readonly Exchange[];
}

/** Bytes of a nonce. */
export const NONCE_BYTES = { AES_256_GCM: 12, AES_256_CTR: 16 } as const satisfies Record<
  DevnetCipher,
  number
>;
/** Bytes of the tag that GCM ends a ciphertext with. */
export const TAG_BYTES = 16;

export function createContentServer(options: ContentServerOptions): ContentServer {
  const { keySets, shareBytes, exchanges } = options;

  const derive = ({ csId, keyId, raidas, time, ...told }: DerivedKey) => {
    const keySet = keySets.find((one) => one.csId === csId && one.keyId === keyId);
    if (!keySet) throw new LatchkeyError("not_found", `${csId} has no key set ${keyId}`);
    if (!(Number.isInteger(raidas) && raidas > 0 && raidas < 2 ** RAIDAS)) {
      throw new LatchkeyError("invalid", "raidas must be a bitmap of RAIDA servers 0 to 24");
    }
    const query = { csId, keyId, time, clientSerial: Buffer.from(told.clientSerial, "hex") };
    const shares = keySet.secrets
      .filter((_, raida) => raidas & (1 << raida))
      .map((secret) => deriveShare(secret, query, shareBytes));
    const key = Buffer.alloc(KEY_LENGTH);
    deriveKey(xor(shares), query, key);
    return key;
  };

  return {
    derive,
    decrypt(sealed) {
      const isMeant = ({ clientSerial }: Exchange) =>
        sealed.clientSerial === null || sealed.clientSerial === clientSerial;
      for (const exchange of exchanges().filter(isMeant)) {
        for (const raidas of sealed.raidas === null ? guesses(exchange) : [sealed.raidas]) {
          const key = { ...exchange, raidas };
          const plaintext = open(sealed, derive(key));
          if (plaintext) return { plaintext, key };
        }
      }
      throw new LatchkeyError(
        "not_found",
        "no key of the exchanges that are remembered fits: was it encrypted in a session of this devnet?",
      );
    },
  };
}

/**
 * The bitmaps that a client may have counted: all that gave a share, or those that did by the time
 * when it had enough.
 */
function guesses({ raidas }: Exchange): number[] {
  return raidas.map((_, more) => toBitmap(raidas.slice(0, raidas.length - more)));
}

export function toBitmap(raidas: readonly number[]): number {
  return raidas.reduce((bitmap, raida) => bitmap | (1 << raida), 0);
}

/** The plaintext; undefined if the key, the nonce or the ciphertext is another one's. */
function open({ cipher, ciphertext, nonce, associatedData }: Sealed, key: Buffer) {
  if (cipher === "AES_256_CTR") {
    const decipher = createDecipheriv("aes-256-ctr", key, nonce);
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  }
  const end = ciphertext.length - TAG_BYTES;
  const decipher = createDecipheriv("aes-256-gcm", key, nonce)
    .setAuthTag(ciphertext.subarray(end))
    .setAAD(associatedData);
  const plaintext = decipher.update(ciphertext.subarray(0, end));
  try {
    decipher.final();
    return plaintext;
  } catch {
    return undefined;
  }
}
