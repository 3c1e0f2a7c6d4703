import { type Cipher, createCipheriv, createDecipheriv, type Decipher } from "node:crypto";

/** `aes-256-gcm` detects tampering; `aes-256-ctr` does not, and is there to be compatible. */
export type CipherName = "aes-256-gcm" | "aes-256-ctr";

/** Bytes of a nonce. GCM: NIST SP 800-38D, 8.2; CTR: the whole first counter block. */
export const NONCE_BYTES = { "aes-256-gcm": 12, "aes-256-ctr": 16 } as const satisfies Record<
  CipherName,
  number
>;

/** Bytes of the tag that GCM ends a ciphertext with. */
export const TAG_BYTES = 16;

/** What turns a plaintext into a ciphertext and back, beside the text. Lengths are the caller's to check. */
export interface CipherParameters {
  readonly cipher: CipherName;
  /** 32 bytes. Read in place: no copy of them outlives the call. */
  readonly key: Buffer;
  /** As long as NONCE_BYTES says. */
  readonly nonce: Uint8Array;
  /** Authenticated, not encrypted; GCM only. */
  readonly associatedData: Uint8Array;
}

/** The ciphertext: as long as the plaintext, and with GCM the tag after it. */
export function encrypt(parameters: CipherParameters, plaintext: Uint8Array): Buffer {
  const { cipher: name, key, nonce, associatedData } = parameters;
  if (name === "aes-256-ctr") {
    const cipher = createCipheriv(name, key, nonce);
    return finish(cipher, () => cipher.update(plaintext));
  }
  const cipher = createCipheriv(name, key, nonce, { authTagLength: TAG_BYTES });
  const body = finish(cipher, () => {
    cipher.setAAD(associatedData);
    return cipher.update(plaintext);
  });
  return Buffer.concat([body, cipher.getAuthTag()]);
}

/** The plaintext; null if GCM finds that anything was altered. GCM needs TAG_BYTES at least. */
export function decrypt(parameters: CipherParameters, ciphertext: Uint8Array): Buffer | null {
  const { cipher: name, key, nonce, associatedData } = parameters;
  if (name === "aes-256-ctr") {
    const decipher = createDecipheriv(name, key, nonce);
    return finish(decipher, () => decipher.update(ciphertext));
  }
  const decipher = createDecipheriv(name, key, nonce, { authTagLength: TAG_BYTES });
  const end = ciphertext.length - TAG_BYTES;
  let body: Buffer | undefined;
  try {
    return finish(decipher, () => {
      decipher.setAAD(associatedData);
      decipher.setAuthTag(ciphertext.subarray(end));
      body = decipher.update(ciphertext.subarray(0, end));
      return body;
    });
  } catch (error) {
    if (!body) throw error;
    // What was not authenticated is nobody's to see.
    body.fill(0);
    return null;
  }
}

/** What `work` answers. A cipher holds its key until `final`, so that is called whatever happens. */
function finish(cipher: Cipher | Decipher, work: () => Buffer): Buffer {
  try {
    return work();
  } finally {
    cipher.final();
  }
}
