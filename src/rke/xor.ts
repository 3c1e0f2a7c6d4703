/**
 * The XOR of byte strings, all of one length and at least one; to be zeroed by the caller if it is
 * secret.
 */
export function xor(parts: readonly Buffer[]): Buffer {
  // Not Buffer.alloc: up to 64 bytes would lie on V8's own heap, whose collector leaves copies.
  const result = Buffer.from(new ArrayBuffer(parts[0]?.length ?? 0));
  for (const part of parts) {
    if (part.length !== result.length) throw new RangeError("what is XORed must be of one length");
    for (const [at, byte] of part.entries()) result[at] = (result[at] ?? 0) ^ byte;
  }
  return result;
}
