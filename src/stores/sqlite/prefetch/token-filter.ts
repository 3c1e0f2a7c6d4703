import type { TokenHash } from "../../../domain/token.js";

/** Bits looked at for a token, and about how many there are for each: one in 200 strangers passes. */
const PROBES = 7;
const BITS = 12;

/** Tokens for which there is room at least: 2 MiB. */
const LEAST = 1_000_000;

/** Of a file with more tokens, the filter lets all pass that it was not asked to remember. */
const MOST_BITS = 2 ** 31;

/** The word that says whether the filter knows the whole file; the bits come after it. */
const COMPLETE = 0;

export type TokenFilter = ReturnType<typeof createTokenFilter>;

/** What a filter is, for a thread to open it by `openTokenFilter`. */
export type FilterMemory = SharedArrayBuffer;

/** Memory for the filter of a file that has so many sessions, with room for as many more. */
export function filterMemoryFor(sessions: number): FilterMemory {
  const wanted = Math.max(LEAST, 2 * sessions) * BITS;
  const bits = Math.min(MOST_BITS, 2 ** Math.ceil(Math.log2(wanted)));
  return new SharedArrayBuffer(4 + bits / 8);
}

/**
 * Tells tokens that no session has or had from those that one may have: a Bloom filter (B. Bloom,
 * CACM 13(7), 1970). Token hashes are SHA-256, so that their own bits choose the bits. Threads may
 * share one. It forgets nothing until the next start; with more tokens than there is room for, it
 * lets more strangers pass.
 */
export function createTokenFilter(memory: FilterMemory) {
  const words = new Int32Array(memory);
  const mask = (words.length - 1) * 32 - 1;
  const bitOf = (hash: Buffer, probe: number) => (hash.readUInt32LE(4 * probe) & mask) >>> 0;

  const addBytes = (hash: Buffer): void => {
    for (let probe = 0; probe < PROBES; probe++) {
      const bit = bitOf(hash, probe);
      Atomics.or(words, 1 + (bit >>> 5), 1 << (bit & 31));
    }
  };

  return {
    memory,

    /** Remembers a token by the 32 bytes of its hash. */
    addBytes,

    add: (tokenHash: TokenHash): void => addBytes(Buffer.from(tokenHash, "base64url")),

    /** To be called once all tokens of the file were added: until then, any may be there. */
    complete(): void {
      Atomics.store(words, COMPLETE, 1);
    },

    /** False if no session has the token or had it. */
    mayHave(tokenHash: TokenHash): boolean {
      if (Atomics.load(words, COMPLETE) === 0) return true;
      const hash = Buffer.from(tokenHash, "base64url");
      for (let probe = 0; probe < PROBES; probe++) {
        const bit = bitOf(hash, probe);
        if (((words[1 + (bit >>> 5)] ?? 0) & (1 << (bit & 31))) === 0) return false;
      }
      return true;
    },
  };
}
