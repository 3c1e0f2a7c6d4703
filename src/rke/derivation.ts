import { createHmac } from "node:crypto";
import { CS_ID, type ShareQuery } from "./packet.js";

/** Bytes of the key of a session. */
export const KEY_LENGTH = 32;

const HASH_LENGTH = 32;
const KEY_LABEL = "RKE-EncryptionKey-v1.0";
const SHARE_LABEL = "RKE-KeyShare-v1.0";

/**
 * Fills `into` (at most 8160 bytes) by HKDF-Expand with SHA-256 (RFC 5869, 2.3) from `prk` and
 * `info`. Node's `hkdf` extracts first, which this protocol does not.
 */
export function expand(prk: Buffer, info: Buffer, into: Buffer): void {
  if (into.length > 255 * HASH_LENGTH) throw new RangeError("HKDF gives at most 8160 bytes");
  let block: Buffer = Buffer.alloc(0);
  for (let filled = 0, count = 1; filled < into.length; filled += HASH_LENGTH, count += 1) {
    const next = createHmac("sha256", prk).update(block).update(info).update(Buffer.of(count));
    block.fill(0);
    block = next.digest();
    block.copy(into, filled);
  }
  block.fill(0);
  // The digest's buffer on the native stack held the last block: a digest of nothing goes over it.
  createHmac("sha256", "").digest();
}

/** Writes into `key` (32 bytes) the key of the session that `secret`, the XOR of shares, stands for. */
export function deriveKey(
  secret: Buffer,
  { clientSerial, time }: Pick<ShareQuery, "clientSerial" | "time">,
  key: Buffer,
): void {
  expand(secret, Buffer.concat([Buffer.from(KEY_LABEL), clientSerial, timeBytes(time)]), key);
}

/**
 * The share, `length` bytes, with which a RAIDA server answers: of the 32-byte
 * secret that the Content Server uploaded to it for this id and key set.
 */
export function deriveShare(secret: Buffer, query: ShareQuery, length: number): Buffer {
  const paddedId = Buffer.alloc(CS_ID);
  paddedId.write(query.csId, "latin1");
  const share = Buffer.alloc(length);
  const info = [
    Buffer.from(SHARE_LABEL),
    paddedId,
    Buffer.of(query.keyId),
    query.clientSerial,
    timeBytes(query.time),
  ];
  expand(secret, Buffer.concat(info), share);
  return share;
}

function timeBytes(time: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(time));
  return bytes;
}
