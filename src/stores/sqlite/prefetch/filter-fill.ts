import type { Database } from "better-sqlite3";
import type { TokenFilter } from "./token-filter.js";

/** Tokens read at a time, some milliseconds' work. */
const BATCH_SIZE = 2_000;

/**
 * Adds the tokens that a file's sessions have and had to a filter, a batch each time that the
 * generator is asked for more, and has it complete at the end. Reads indexes alone. Tokens that are
 * made meanwhile are others' to add, before they are written.
 */
export function* fillTokenFilter(db: Database, filter: TokenFilter): Generator<void> {
  for (const table of ["sessions", "rotated_tokens"]) {
    const next = db
      .prepare<[Buffer, number], Buffer>(
        `SELECT token_hash FROM ${table} WHERE token_hash > ? ORDER BY token_hash LIMIT ?`,
      )
      .pluck();
    let last: Buffer | undefined = Buffer.alloc(0);
    while (last) {
      const hashes: Buffer[] = next.all(last, BATCH_SIZE);
      for (const hash of hashes) filter.addBytes(hash);
      last = hashes.length === BATCH_SIZE ? hashes.at(-1) : undefined;
      yield;
    }
  }
  filter.complete();
}
