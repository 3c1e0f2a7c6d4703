import type { Database } from "better-sqlite3";
import type { AnswerRecord, RequestHash } from "../../../domain/sessions/idempotency-key.js";
import { toHex, type Write } from "./write.js";

/** A kept answer's place, and how much it takes. */
export interface KeptAnswer {
  readonly row: number;
  readonly key: RequestHash;
  /** The app that counts it; null: none does. */
  readonly app: string | null;
  /** Size of the answer in UTF-8. */
  readonly bytes: number;
}

/** An answer as the table holds it. */
export interface StoredAnswer extends AnswerRecord {
  /** Whether its app counts it. */
  readonly isCounted: boolean;
}

export const ANSWER_STATEMENTS = {
  keepRequest: `INSERT INTO requests (key_hash, body_hash, expires_at, answer, app_id)
    VALUES (unhex(?), unhex(?), ?, ?, ?) ON CONFLICT (key_hash) DO UPDATE SET
    body_hash = excluded.body_hash, expires_at = excluded.expires_at, answer = excluded.answer,
    app_id = excluded.app_id`,
  deleteRequests: "DELETE FROM requests WHERE rowid IN (SELECT value FROM json_each(?))",
} as const;

type AnswerWrite = Write<keyof typeof ANSWER_STATEMENTS>;

export const answerWrites = {
  keepRequest: (
    key: RequestHash,
    { body, expiresAt, answer }: AnswerRecord,
    appId: number,
  ): AnswerWrite => ["keepRequest", toHex(key), toHex(body), expiresAt, answer, appId],

  deleteRequests: (rows: readonly number[]): AnswerWrite => [
    "deleteRequests",
    JSON.stringify(rows),
  ],
};

/** Prepares the reads of answers that idempotency keys keep. */
export function createAnswerReads(db: Database) {
  const statements = {
    request: db
      .prepare<[Buffer], [body: Buffer, expiresAt: number, answer: string, appId: number | null]>(
        "SELECT body_hash, expires_at, answer, app_id FROM requests WHERE key_hash = ?",
      )
      .raw(),
    expired: db
      .prepare<[number, number], [row: number, key: Buffer, app: string | null, bytes: number]>(
        `SELECT requests.rowid, key_hash, name, octet_length(answer)
         FROM requests LEFT JOIN apps ON apps.id = app_id
         WHERE expires_at <= ? ORDER BY expires_at LIMIT ?`,
      )
      .raw(),
    firstExpiry: db
      .prepare<[], number>("SELECT expires_at FROM requests ORDER BY expires_at LIMIT 1")
      .pluck(),
  };

  return {
    request(key: RequestHash): StoredAnswer | null {
      const row = statements.request.get(Buffer.from(key, "base64url"));
      if (!row) return null;
      const [body, expiresAt, answer, appId] = row;
      return {
        body: body.toString("base64url") as RequestHash,
        expiresAt,
        answer,
        isCounted: appId !== null,
      };
    },

    /** The instant (ms) from which the first answer is kept too long; null if there is none. */
    firstExpiry: (): number | null => statements.firstExpiry.get() ?? null,

    /** At most `limit` of the answers that are kept too long. */
    expiredRequests: (now: number, limit: number): KeptAnswer[] =>
      statements.expired.all(now, limit).map(([row, key, app, bytes]) => ({
        row,
        key: key.toString("base64url") as RequestHash,
        app,
        bytes,
      })),
  };
}
