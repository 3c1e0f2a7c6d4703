import type { Database } from "better-sqlite3";
import { allTokens } from "../tables/rotated-tokens.js";
import type { TokenFilter } from "./token-filter.js";

/** Tokens read at a time, some milliseconds' work. */
const BATCH_SIZE = 2_000;

/**
 * Adds the tokens that a file's sessions have and had to a filter, a batch each time that the
 * generator is asked for more, and has it complete at the end. Reads indexes alone. Tokens that are
 * made meanwhile are others' to add, before they are written.
 */
export function* fillTokenFilter(db: Database, filter: TokenFilter): Generator<void> {
  for (const hashes of allTokens(db, BATCH_SIZE)) {
    for (const hash of hashes) filter.addBytes(hash);
    yield;
  }
  filter.complete();
}
