import type { Database } from "better-sqlite3";
import type { Lifetime } from "../../../domain/sessions/session.js";
import type { EventSubject } from "../../../domain/sessions/session-event.js";
import type { TokenHash } from "../../../domain/token.js";
import type { BulkEndScope } from "./bulk-ends.js";
import { idFromBytes } from "./sessions.js";

/** The columns of a session that its end needs, without its data, which may be large. */
export interface SessionHead {
  readonly row: number;
  readonly tokenHash: TokenHash;
  readonly session: EventSubject;
  /** Size of its data as JSON in UTF-8. */
  readonly dataBytes: number;
}

/** The columns that tell whether a session of a user lives, and that find it. */
export interface UserRow {
  readonly row: number;
  readonly tokenHash: TokenHash;
  readonly session: Lifetime;
}

/** The columns of a session's head in the order of HEAD. */
type HeadRow = [
  id: number,
  tokenHash: Buffer,
  sessionId: Buffer,
  userId: string,
  version: number,
  lastAccessedAt: number,
  idleTtl: number,
  absoluteExpiresAt: number | null,
  dataBytes: number,
];

const HEAD =
  "id, token_hash, session_id, user_id, version, last_accessed_at, idle_ttl, absolute_expires_at, octet_length(data)";

/** Prepares the reads of sessions without their data: for ends, the sweep, caps and counts. */
export function createSessionHeadReads(db: Database) {
  const selectHead = (where: string) =>
    db
      .prepare<unknown[], HeadRow>(
        `SELECT ${HEAD} FROM sessions ${where} AND id < ? AND id <> ? ORDER BY id LIMIT ?`,
      )
      .raw();
  const statements = {
    appName: db.prepare<[number], string>("SELECT name FROM apps WHERE id = ?").pluck(),
    ofUser: db
      .prepare<[number, string], [number, Buffer, number, number, number | null]>(
        `SELECT id, token_hash, last_accessed_at, idle_ttl, absolute_expires_at FROM sessions
         INDEXED BY sessions_by_user WHERE app_id = ? AND user_id = ? ORDER BY id`,
      )
      .raw(),
    toSweep: db
      .prepare<[number, number], [...HeadRow, number]>(
        `SELECT ${HEAD}, app_id FROM sessions WHERE sweep_at <= ? ORDER BY sweep_at LIMIT ?`,
      )
      .raw(),
    // Both columns are of the index: a damaged page of the table is not read.
    rowsToSweep: db
      .prepare<[number, number], number>(
        `SELECT id FROM sessions INDEXED BY sessions_by_sweep WHERE sweep_at <= ?
         ORDER BY sweep_at LIMIT ?`,
      )
      .pluck(),
    headToSweep: db
      .prepare<[number], [...HeadRow, number]>(`SELECT ${HEAD}, app_id FROM sessions WHERE id = ?`)
      .raw(),
    firstSweep: db
      .prepare<[], number>("SELECT sweep_at FROM sessions ORDER BY sweep_at LIMIT 1")
      .pluck(),
    appToEnd: selectHead("INDEXED BY sessions_by_app WHERE app_id = ?"),
    userToEnd: selectHead("INDEXED BY sessions_by_user WHERE app_id = ? AND user_id = ?"),
    lastOfNext: db
      .prepare<[number, number, number], number>(
        `SELECT max(id) FROM (SELECT id FROM sessions INDEXED BY sessions_by_app
           WHERE app_id = ? AND id > ? ORDER BY id LIMIT ?)`,
      )
      .pluck(),
    activeIn: db
      .prepare<[number, number, number, number, number, number], [row: number, userId: string]>(
        `SELECT id, user_id FROM sessions INDEXED BY sessions_by_app
         WHERE app_id = ? AND id > ? AND id <= ? AND last_accessed_at >= ?
           AND last_accessed_at + idle_ttl > ?
           AND (absolute_expires_at IS NULL OR absolute_expires_at > ?)`,
      )
      .raw(),
  };

  const headOfApp = (row: [...HeadRow, number]): SessionHead => {
    const [appId] = row.slice(-1) as [number];
    return headFromRow(statements.appName.get(appId) ?? "", row as unknown as HeadRow);
  };

  return {
    /** All of a user, in the order of creation, without what they hold. */
    ofUser(appId: number, userId: string): UserRow[] {
      return statements.ofUser
        .all(appId, userId)
        .map(([row, tokenHash, lastAccessedAt, idleTtl, absoluteExpiresAt]) => ({
          row,
          tokenHash: tokenHash.toString("base64url") as TokenHash,
          session: { lastAccessedAt, idleTtl, absoluteExpiresAt },
        }));
    },

    /** At most `limit` sessions that are due to be examined. */
    toSweep(now: number, limit: number): SessionHead[] {
      return statements.toSweep.all(now, limit).map(headOfApp);
    },

    /** The numbers of the same rows. */
    rowsToSweep: (now: number, limit: number): number[] => statements.rowsToSweep.all(now, limit),

    /** One of them; null if there is none. */
    headToSweep(row: number): SessionHead | null {
      const found = statements.headToSweep.get(row);
      return found ? headOfApp(found) : null;
    },

    /** The instant (ms) at which the first session is to be examined; null if there is none. */
    firstSweep: (): number | null => statements.firstSweep.get() ?? null,

    /** At most `limit` of the rows of a scope, the oldest first. */
    toEnd({ app, appId, userId, before, keep }: BulkEndScope, limit: number): SessionHead[] {
      const rows =
        userId === null
          ? statements.appToEnd.all(appId, before, keep ?? 0, limit)
          : statements.userToEnd.all(appId, userId, before, keep ?? 0, limit);
      return rows.map((row) => headFromRow(app, row));
    },

    /** The last of the next `count` rows of an app after one; null if there are none. */
    lastOfNext: (appId: number, after: number, count: number): number | null =>
      statements.lastOfNext.get(appId, after, count) ?? null,

    /** The app's rows after one up to another that live at `now` and were accessed since (ms). */
    activeIn: (appId: number, after: number, upTo: number, since: number, now: number) =>
      statements.activeIn.all(appId, after, upTo, since, now, now),
  };
}

function headFromRow(app: string, row: HeadRow): SessionHead {
  return {
    row: row[0],
    tokenHash: row[1].toString("base64url") as TokenHash,
    session: {
      id: idFromBytes(row[2]),
      app,
      userId: row[3],
      version: row[4],
      lastAccessedAt: row[5],
      idleTtl: row[6],
      absoluteExpiresAt: row[7],
    },
    dataBytes: row[8],
  };
}
