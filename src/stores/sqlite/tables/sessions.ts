import type { Database } from "better-sqlite3";
import { expiresAt, type Session } from "../../../domain/sessions/session.js";
import type { TokenHash } from "../../../domain/token.js";
import type { JsonObject } from "../../../lib/json.js";
import { toHex, type Write } from "./write.js";

/** A session as the table holds it, and where. */
export interface StoredSession {
  /** The row's number: the order of creation, never reused. */
  readonly row: number;
  readonly tokenHash: TokenHash;
  readonly session: Session;
  /** Size of the data as JSON in UTF-8. */
  readonly dataBytes: number;
  /** The old token that is good until the session's own is used. */
  readonly spare: TokenHash | null;
}

/** Selects rows of an app, the newest first. */
export interface RowQuery {
  readonly app: string;
  readonly appId: number;
  readonly userId?: string | undefined;
  /** Only rows numbered below this. */
  readonly before: number;
  /** Only rows numbered so or higher. */
  readonly from: number;
  readonly limit: number;
}

/** The columns of a session in the order of COLUMNS. */
export type SessionRow = [
  id: number,
  tokenHash: Buffer,
  sessionId: Buffer,
  userId: string,
  ip: string,
  userAgent: string,
  data: string,
  reads: number,
  writes: number,
  version: number,
  createdAt: number,
  lastAccessedAt: number,
  idleTtl: number,
  absoluteExpiresAt: number | null,
  spareToken: Buffer | null,
];

export const COLUMNS = `id, token_hash, session_id, user_id, ip, user_agent, data, reads, writes, version,
  created_at, last_accessed_at, idle_ttl, absolute_expires_at, spare_token`;

export const SESSION_STATEMENTS = {
  insert: `INSERT INTO sessions (${COLUMNS}, app_id, sweep_at) VALUES (${"?, ".repeat(16)}?)`,
  update: `UPDATE sessions SET ip = ?, user_agent = ?, data = ?, reads = ?, writes = ?, version = ?,
    last_accessed_at = ? WHERE id = ?`,
  limit: "UPDATE sessions SET idle_ttl = ?, absolute_expires_at = ?, sweep_at = ? WHERE id = ?",
  touch: "UPDATE sessions SET reads = ?, last_accessed_at = ? WHERE id = ?",
  delete: "DELETE FROM sessions WHERE id = ?",
  deleteAll: "DELETE FROM sessions WHERE id IN (SELECT value FROM json_each(?))",
  deferSweep: "UPDATE sessions SET sweep_at = ? WHERE id = ?",
  setToken: `UPDATE sessions SET token_hash = unhex(?), spare_token = unhex(?), reads = ?,
    version = ?, last_accessed_at = ? WHERE id = ?`,
  dropSpare: `UPDATE sessions SET spare_token = NULL, reads = ?, last_accessed_at = ?
    WHERE id = ?`,
} as const;

type SessionWrite = Write<keyof typeof SESSION_STATEMENTS>;

export const sessionWrites = {
  insert: (
    row: number,
    appId: number,
    tokenHash: TokenHash,
    session: Session,
    data: string,
  ): SessionWrite => [
    "insert",
    row,
    tokenHash,
    session.id,
    session.userId,
    session.ip,
    session.userAgent,
    data,
    session.reads,
    session.writes,
    session.version,
    session.createdAt,
    session.lastAccessedAt,
    session.idleTtl,
    session.absoluteExpiresAt,
    null,
    appId,
    expiresAt(session),
  ],

  update: (row: number, session: Session, data: string): SessionWrite => [
    "update",
    session.ip,
    session.userAgent,
    data,
    session.reads,
    session.writes,
    session.version,
    session.lastAccessedAt,
    row,
  ],

  /** Writes the limits of a session's life; the sweep examines it at its new deadline. */
  limit: (row: number, session: Session): SessionWrite => [
    "limit",
    session.idleTtl,
    session.absoluteExpiresAt,
    expiresAt(session),
    row,
  ],

  touch: (row: number, reads: number, lastAccessedAt: number): SessionWrite => [
    "touch",
    reads,
    lastAccessedAt,
    row,
  ],

  delete: (row: number): SessionWrite => ["delete", row],

  deleteAll: (rows: readonly number[]): SessionWrite => ["deleteAll", JSON.stringify(rows)],

  /** The sweep examines the row at `until` (ms) next. */
  deferSweep: (row: number, until: number): SessionWrite => ["deferSweep", until, row],

  /** Writes another token and a spare, and the session after the rotation. */
  setToken: (
    row: number,
    tokenHash: TokenHash,
    spare: TokenHash | null,
    session: Session,
  ): SessionWrite => [
    "setToken",
    toHex(tokenHash),
    spare && toHex(spare),
    session.reads,
    session.version,
    session.lastAccessedAt,
    row,
  ],

  /** Notes that the session's token was used, with all touches that memory has. */
  dropSpare: (row: number, { reads, lastAccessedAt }: Session): SessionWrite => [
    "dropSpare",
    reads,
    lastAccessedAt,
    row,
  ],
};

/** Prepares the reads of whole sessions. */
export function createSessionReads(db: Database) {
  const select = (rest: string) =>
    db.prepare<unknown[], SessionRow>(`SELECT ${COLUMNS} FROM sessions ${rest}`).raw();
  const statements = {
    byToken: select("WHERE app_id = ? AND token_hash = ?"),
    bySessionId: select("WHERE app_id = ? AND session_id = ?"),
    byRow: select("WHERE app_id = ? AND id = ?"),
    // The index named is the one that yields the order, so that a page costs
    // what it shows and not the whole app.
    byApp: select(
      "INDEXED BY sessions_by_app WHERE app_id = ? AND id < ? AND id >= ? ORDER BY id DESC LIMIT ?",
    ),
    byUser: select(
      "INDEXED BY sessions_by_user WHERE app_id = ? AND user_id = ? AND id < ? AND id >= ? ORDER BY id DESC LIMIT ?",
    ),
  };
  const found = (app: string, row: SessionRow | undefined) => (row ? fromRow(app, row) : null);

  return {
    byToken: (app: string, appId: number, tokenHash: TokenHash): StoredSession | null =>
      found(app, statements.byToken.get(appId, Buffer.from(tokenHash, "base64url"))),

    bySessionId: (app: string, appId: number, sessionId: string): StoredSession | null =>
      found(app, statements.bySessionId.get(appId, idToBytes(sessionId))),

    byRow: (app: string, appId: number, row: number): StoredSession | null =>
      found(app, statements.byRow.get(appId, row)),

    /** Yields rows of an app or a user, the newest first, read one by one: a caller that
     * stops early leaves the rest unread. No other statement may run meanwhile. */
    *list({ app, appId, userId, before, from, limit }: RowQuery): Generator<StoredSession> {
      const rows =
        userId === undefined
          ? statements.byApp.iterate(appId, before, from, limit)
          : statements.byUser.iterate(appId, userId, before, from, limit);
      for (const row of rows) yield fromRow(app, row);
    },
  };
}

function fromRow(app: string, row: SessionRow): StoredSession {
  const data = row[6];
  return {
    row: row[0],
    tokenHash: row[1].toString("base64url") as TokenHash,
    dataBytes: Buffer.byteLength(data),
    spare: row[14] && (row[14].toString("base64url") as TokenHash),
    session: {
      id: idFromBytes(row[2]),
      app,
      userId: row[3],
      ip: row[4],
      userAgent: row[5],
      // Written by this store from a JsonObject.
      data: JSON.parse(data) as JsonObject,
      reads: row[7],
      writes: row[8],
      version: row[9],
      createdAt: row[10],
      lastAccessedAt: row[11],
      idleTtl: row[12],
      absoluteExpiresAt: row[13],
    },
  };
}

export function idToBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}

export function idFromBytes(bytes: Buffer): string {
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
