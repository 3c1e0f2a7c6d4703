import { encrypt, NONCE_BYTES } from "./cipher.js";

const BLOCK_BYTES = 16;
const NOTHING = new Uint8Array(0);

/**
 * Encrypts or decrypts, which is the same, `chunk` as the bytes from `offset` on of one message by
 * AES-256-CTR that began with the counter block `nonce` (NIST SP 800-38A, 6.5). Nothing is kept
 * from one chunk to the next, so no cipher holds the key between them.
 */
export function applyCtr(
  key: Buffer,
  nonce: Uint8Array,
  offset: bigint,
  chunk: Uint8Array,
): Buffer {
  const skipped = Number(offset % BigInt(BLOCK_BYTES));
  const padded = Buffer.alloc(skipped + chunk.length);
  padded.set(chunk, skipped);
  const parameters = {
    cipher: "aes-256-ctr",
    key,
    nonce: counterBlock(nonce, offset / BigInt(BLOCK_BYTES)),
    associatedData: NOTHING,
  } as const;
  return encrypt(parameters, padded).subarray(skipped);
}

/** The counter block `blocks` after `nonce`: a big-endian sum that wraps around at 2^128. */
function counterBlock(nonce: Uint8Array, blocks: bigint): Buffer {
  const start = BigInt(`0x${Buffer.from(nonce).toString("hex")}`);
  const sum = BigInt.asUintN(BLOCK_BYTES * 8, start + blocks);
  return Buffer.from(sum.toString(16).padStart(2 * NONCE_BYTES["aes-256-ctr"], "0"), "hex");
}
