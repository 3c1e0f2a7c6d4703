import type { Database } from "better-sqlite3";
import type { Write } from "./write.js";

/** Which sessions end together: those of an app, or of one of its users, that exist at one instant. */
export interface BulkEndScope {
  readonly app: string;
  readonly appId: number;
  /** Null: of all users. */
  readonly userId: string | null;
  /** Only rows numbered below this. */
  readonly before: number;
  /** But for this row. */
  readonly keep: number | null;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** A bulk end as the table holds it. */
export interface StoredBulkEnd extends BulkEndScope {
  readonly id: number;
}

export const BULK_END_STATEMENTS = {
  beginBulkEnd: `INSERT INTO bulk_ends (id, app_id, user_id, before, keep, ended_at)
    VALUES (?, ?, ?, ?, ?, ?)`,
  finishBulkEnd: "DELETE FROM bulk_ends WHERE id = ?",
} as const;

type BulkEndWrite = Write<keyof typeof BULK_END_STATEMENTS>;

export const bulkEndWrites = {
  beginBulkEnd: ({ id, appId, userId, before, keep, at }: StoredBulkEnd): BulkEndWrite => [
    "beginBulkEnd",
    id,
    appId,
    userId,
    before,
    keep,
    at,
  ],

  finishBulkEnd: (id: number): BulkEndWrite => ["finishBulkEnd", id],
};

/** Prepares the read of all bulk ends, in the order of their beginning. */
export function createBulkEndReads(db: Database) {
  const all = db.prepare<[], StoredBulkEnd>(
    `SELECT bulk_ends.id, name AS app, app_id AS appId, user_id AS userId, before, keep,
       ended_at AS at
     FROM bulk_ends JOIN apps ON apps.id = app_id ORDER BY bulk_ends.id`,
  );
  return { bulkEnds: (): StoredBulkEnd[] => all.all() };
}
