import { createHmac } from "node:crypto";
import type { RandomBytes } from "../../lib/random.js";
import { decrypt, encrypt, TAG_BYTES } from "./cipher.js";
import { KEY_BYTES } from "./keyring.js";

/*
 * The format of Tink's AES-GCM-HKDF Streaming AEAD, with AES-256 and SHA-256:
 * https://developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming
 */

const SALT_BYTES = 32;
const PREFIX_BYTES = 7;
const NOTHING = new Uint8Array(0);

/** Bytes before the first segment: their number in one byte, a salt, and the prefix of all nonces. */
export const HEADER_BYTES = 1 + SALT_BYTES + PREFIX_BYTES;

/** Bytes of a segment of ciphertext, its tag included; the header counts to the first, the last may be shorter. */
export const SEGMENT_BYTES = 64 * 1024;

/** Segments of a stream: as many as the nonce's counter has room for. */
export const MAX_SEGMENTS = 2 ** 32;

/** What every segment of a stream has in common. */
export interface GcmStream {
  /** As `newHeader` makes it. */
  readonly header: Uint8Array;
  /** Authenticated with every segment. */
  readonly associatedData: Uint8Array;
}

/** Which segment of its stream it is. */
export interface Place {
  /** From 0 to MAX_SEGMENTS - 1. */
  readonly index: number;
  readonly isLast: boolean;
}

/** Bytes of ciphertext of a full segment, its tag included. */
export function segmentBytes(index: number): number {
  return index === 0 ? SEGMENT_BYTES - HEADER_BYTES : SEGMENT_BYTES;
}

/** The header of a new stream. */
export function newHeader(randomBytes: RandomBytes): Buffer {
  return Buffer.concat([Buffer.of(HEADER_BYTES), randomBytes(SALT_BYTES + PREFIX_BYTES)]);
}

/** Whether a stream may begin with these HEADER_BYTES bytes. */
export function isHeader(bytes: Uint8Array): boolean {
  return bytes[0] === HEADER_BYTES;
}

/** The segment's ciphertext, its tag at the end. `key` is the session's. */
export function sealSegment(
  key: Buffer,
  stream: GcmStream,
  place: Place,
  plaintext: Uint8Array,
): Buffer {
  return withStreamKey(key, stream, (streamKey) =>
    encrypt(parametersOf(streamKey, stream, place), plaintext),
  );
}

/** The segment's plaintext; null if it is not what was sealed at this place of this stream. */
export function openSegment(
  key: Buffer,
  stream: GcmStream,
  place: Place,
  ciphertext: Uint8Array,
): Buffer | null {
  if (ciphertext.length < TAG_BYTES) return null;
  return withStreamKey(key, stream, (streamKey) =>
    decrypt(parametersOf(streamKey, stream, place), ciphertext),
  );
}

function parametersOf(key: Buffer, { header }: GcmStream, { index, isLast }: Place) {
  const counter = Buffer.alloc(5);
  counter.writeUInt32BE(index);
  counter[4] = isLast ? 1 : 0;
  const nonce = Buffer.concat([header.subarray(1 + SALT_BYTES), counter]);
  return { cipher: "aes-256-gcm", key, nonce, associatedData: NOTHING } as const;
}

/**
 * What `use` makes of the stream's key: HKDF with SHA-256 (RFC 5869, 2.2 and 2.3), of which 32
 * bytes are one block. The key is derived for each segment anew, which costs little beside the
 * segment, so that none outlives the call.
 */
function withStreamKey<T>(
  key: Buffer,
  { header, associatedData }: GcmStream,
  use: (streamKey: Buffer) => T,
): T {
  const salt = header.subarray(1, 1 + SALT_BYTES);
  const extracted = createHmac("sha256", salt).update(key).digest();
  // Not Buffer.alloc: up to 64 bytes would lie on V8's own heap, whose collector leaves copies.
  const streamKey = Buffer.from(new ArrayBuffer(KEY_BYTES));
  try {
    const block = createHmac("sha256", extracted).update(associatedData).update(Buffer.of(1));
    const expanded = block.digest();
    expanded.copy(streamKey);
    expanded.fill(0);
    return use(streamKey);
  } finally {
    extracted.fill(0);
    streamKey.fill(0);
    // The digest's buffer on the native stack held the last block: a digest of nothing goes over it.
    createHmac("sha256", "").digest();
  }
}
