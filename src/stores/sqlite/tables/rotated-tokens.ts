import type { Database } from "better-sqlite3";
import { OLD_TOKENS } from "../../../domain/sessions/rotation.js";
import type { TokenHash } from "../../../domain/token.js";
import type { StoredSession } from "./sessions.js";
import { toHex, type Write } from "./write.js";

/** A session found by a token that was rotated. */
export interface FormerlyOpened {
  readonly stored: StoredSession;
  /** Until when (ms) the token is good. */
  readonly graceEndsAt: number;
}

interface SessionReads {
  byRow(app: string, appId: number, row: number): StoredSession | null;
}

export const ROTATED_TOKEN_STATEMENTS = {
  addOldToken: `INSERT INTO rotated_tokens (token_hash, session, version, grace_ends_at)
    VALUES (unhex(?), ?, ?, ?) ON CONFLICT (token_hash) DO UPDATE SET
    version = excluded.version, grace_ends_at = excluded.grace_ends_at`,
  addUnusedToken: `INSERT INTO rotated_tokens (token_hash, session, version, grace_ends_at)
    SELECT unhex(?), session, version, 0 FROM rotated_tokens WHERE token_hash = unhex(?)`,
  dropOldTokens: `DELETE FROM rotated_tokens WHERE session = ? AND version <=
    (SELECT version FROM rotated_tokens WHERE session = ? ORDER BY version DESC LIMIT 1 OFFSET ?)`,
} as const;

type RotatedTokenWrite = Write<keyof typeof ROTATED_TOKEN_STATEMENTS>;

export const rotatedTokenWrites = {
  /** Adds a token that opened the session up to this version of it. */
  addOldToken: (
    row: number,
    tokenHash: TokenHash,
    version: number,
    graceEndsAt: number,
  ): RotatedTokenWrite => ["addOldToken", toHex(tokenHash), row, version, graceEndsAt],

  /** Adds a token that nobody used and that another replaces; kept for as long as `from` is. */
  addUnusedToken: (tokenHash: TokenHash, from: TokenHash): RotatedTokenWrite => [
    "addUnusedToken",
    toHex(tokenHash),
    toHex(from),
  ],

  /** Deletes all but the newest old tokens of a session. */
  dropOldTokens: (row: number): RotatedTokenWrite => ["dropOldTokens", row, row, OLD_TOKENS],
};

/** Prepares the reads of tokens that sessions had before. */
export function createRotatedTokenReads(db: Database, sessions: SessionReads) {
  const byHash = db
    .prepare<[Buffer], [session: number, graceEndsAt: number]>(
      "SELECT session, grace_ends_at FROM rotated_tokens WHERE token_hash = ?",
    )
    .raw();
  const taken = db
    .prepare<[Buffer, Buffer], number>(
      `SELECT 1 FROM sessions WHERE token_hash = ?
       UNION ALL SELECT 1 FROM rotated_tokens WHERE token_hash = ?`,
    )
    .pluck();

  return {
    /** The app's session that the token opened before it was rotated. */
    byRotatedToken(app: string, appId: number, tokenHash: TokenHash): FormerlyOpened | null {
      const rotated = byHash.get(Buffer.from(tokenHash, "base64url"));
      if (!rotated) return null;
      const [row, graceEndsAt] = rotated;
      const stored = sessions.byRow(app, appId, row);
      return stored && { stored, graceEndsAt };
    },

    /** Whether a session has the token, or had it. */
    hasToken(tokenHash: TokenHash): boolean {
      const hash = Buffer.from(tokenHash, "base64url");
      return taken.get(hash, hash) !== undefined;
    },
  };
}

/** Yields the hashes of all tokens that sessions have and had, `count` at a time, by the indexes alone. */
export function* allTokens(db: Database, count: number): Generator<readonly Buffer[]> {
  for (const table of ["sessions", "rotated_tokens"]) {
    const next = db
      .prepare<[Buffer, number], Buffer>(
        `SELECT token_hash FROM ${table} WHERE token_hash > ? ORDER BY token_hash LIMIT ?`,
      )
      .pluck();
    let last: Buffer | undefined = Buffer.alloc(0);
    while (last) {
      const hashes: Buffer[] = next.all(last, count);
      yield hashes;
      last = hashes.length === count ? hashes.at(-1) : undefined;
    }
  }
}
