import type { Database, Statement } from "better-sqlite3";
import type { AppPolicy } from "../../../domain/sessions/app-policy.js";
import type { AnswerRecord, RequestHash } from "../../../domain/sessions/idempotency-key.js";
import type { AppUsage } from "../../../domain/sessions/quotas.js";
import { OLD_TOKENS } from "../../../domain/sessions/rotation.js";
import { expiresAt, type Session } from "../../../domain/sessions/session.js";
import type { SessionEvent } from "../../../domain/sessions/session-event.js";
import type { TokenHash } from "../../../domain/token.js";
import type { Entry } from "../cache/entry.js";
import type { BulkEnd } from "../state/bulk-ends.js";
import { COLUMNS, idToBytes, type Totals } from "./rows.js";

type Value = string | number | null;

/** The statements that write, by name. */
const STATEMENTS = {
  appUsage: "UPDATE apps SET sessions = ?, data_bytes = ?, answer_bytes = ? WHERE id = ?",
  insertApp: "INSERT INTO apps (id, name) VALUES (?, ?)",
  insert: `INSERT INTO sessions (${COLUMNS}, app_id, sweep_at) VALUES (${"?, ".repeat(16)}?)`,
  update: `UPDATE sessions SET ip = ?, user_agent = ?, data = ?, reads = ?, writes = ?, version = ?,
    last_accessed_at = ? WHERE id = ?`,
  limit: "UPDATE sessions SET idle_ttl = ?, absolute_expires_at = ?, sweep_at = ? WHERE id = ?",
  touch: "UPDATE sessions SET reads = ?, last_accessed_at = ? WHERE id = ?",
  delete: "DELETE FROM sessions WHERE id = ?",
  deleteAll: "DELETE FROM sessions WHERE id IN (SELECT value FROM json_each(?))",
  deferSweep: "UPDATE sessions SET sweep_at = ? WHERE id = ?",
  totals: "UPDATE totals SET sessions = ?, last_id = ?",
  setToken: `UPDATE sessions SET token_hash = unhex(?), spare_token = unhex(?), reads = ?,
    version = ?, last_accessed_at = ? WHERE id = ?`,
  dropSpare: `UPDATE sessions SET spare_token = NULL, reads = ?, last_accessed_at = ?
    WHERE id = ?`,
  addOldToken: `INSERT INTO rotated_tokens (token_hash, session, version, grace_ends_at)
    VALUES (unhex(?), ?, ?, ?) ON CONFLICT (token_hash) DO UPDATE SET
    version = excluded.version, grace_ends_at = excluded.grace_ends_at`,
  addUnusedToken: `INSERT INTO rotated_tokens (token_hash, session, version, grace_ends_at)
    SELECT unhex(?), session, version, 0 FROM rotated_tokens WHERE token_hash = unhex(?)`,
  dropOldTokens: `DELETE FROM rotated_tokens WHERE session = ? AND version <=
    (SELECT version FROM rotated_tokens WHERE session = ? ORDER BY version DESC LIMIT 1 OFFSET ?)`,
  keepRequest: `INSERT INTO requests (key_hash, body_hash, expires_at, answer, app_id)
    VALUES (unhex(?), unhex(?), ?, ?, ?) ON CONFLICT (key_hash) DO UPDATE SET
    body_hash = excluded.body_hash, expires_at = excluded.expires_at, answer = excluded.answer,
    app_id = excluded.app_id`,
  deleteRequests: "DELETE FROM requests WHERE rowid IN (SELECT value FROM json_each(?))",
  setPolicy: `INSERT OR REPLACE INTO app_policies (app, default_idle_ttl, max_idle_ttl,
    default_absolute_ttl, max_absolute_ttl, max_sessions_per_user, at_limit, bind_ip,
    bind_user_agent, touch_interval, caller_tokens) VALUES (${"?, ".repeat(10)}?)`,
  beginBulkEnd: `INSERT INTO bulk_ends (id, app_id, user_id, before, keep, ended_at)
    VALUES (?, ?, ?, ?, ?, ?)`,
  finishBulkEnd: "DELETE FROM bulk_ends WHERE id = ?",
  watchApp: "UPDATE apps SET logged_from = ?, logged_until = ? WHERE id = ?",
  insertEvent: `INSERT INTO events (revision, app_id, type, session_id, user_id, version,
    occurred_at, end_reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  pruneEvents: "DELETE FROM events WHERE revision < ?",
} as const;

type StatementName = keyof typeof STATEMENTS;

/** One statement and its values, in a form that can be sent to another thread. */
export type RowWrite = readonly [statement: StatementName, ...values: Value[]];

/** The writes of the tables, each as data to be carried out later. */
export const rowWrites = {
  appUsage: (id: number, { sessions, dataBytes, answerBytes }: AppUsage): RowWrite => [
    "appUsage",
    sessions,
    dataBytes,
    answerBytes,
    id,
  ],

  insertApp: (id: number, name: string): RowWrite => ["insertApp", id, name],

  insert: (
    row: number,
    appId: number,
    tokenHash: TokenHash,
    session: Session,
    data: string,
  ): RowWrite => [
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

  update: (row: number, session: Session, data: string): RowWrite => [
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

  /** Writes the limits of a session's life; the sweep looks at it at its new deadline. */
  limit: (row: number, session: Session): RowWrite => [
    "limit",
    session.idleTtl,
    session.absoluteExpiresAt,
    expiresAt(session),
    row,
  ],

  touch: ({ row, reads, lastAccessedAt }: Entry): RowWrite => ["touch", reads, lastAccessedAt, row],

  delete: (row: number): RowWrite => ["delete", row],

  deleteAll: (rows: readonly number[]): RowWrite => ["deleteAll", JSON.stringify(rows)],

  beginBulkEnd: ({ id, appId, userId, before, keep, at }: BulkEnd): RowWrite => [
    "beginBulkEnd",
    id,
    appId,
    userId,
    before,
    keep,
    at,
  ],

  finishBulkEnd: (id: number): RowWrite => ["finishBulkEnd", id],

  /** The sweep looks at the row at `until` (ms) next. */
  deferSweep: (row: number, until: number): RowWrite => ["deferSweep", until, row],

  totals: ({ sessions, lastRow }: Totals): RowWrite => ["totals", sessions, lastRow],

  /** Writes another token and a spare, and what the rotation makes of the session. */
  setToken: (
    row: number,
    tokenHash: TokenHash,
    spare: TokenHash | null,
    session: Session,
  ): RowWrite => [
    "setToken",
    toHex(tokenHash),
    spare && toHex(spare),
    session.reads,
    session.version,
    session.lastAccessedAt,
    row,
  ],

  /** The session's token was used, with all touches that memory has. */
  dropSpare: (row: number, { reads, lastAccessedAt }: Session): RowWrite => [
    "dropSpare",
    reads,
    lastAccessedAt,
    row,
  ],

  /** The token opened the session up to this version of it. */
  addOldToken: (
    row: number,
    tokenHash: TokenHash,
    version: number,
    graceEndsAt: number,
  ): RowWrite => ["addOldToken", toHex(tokenHash), row, version, graceEndsAt],

  /** Nobody used the token, and another takes its place; known for as long as `from` was. */
  addUnusedToken: (tokenHash: TokenHash, from: TokenHash): RowWrite => [
    "addUnusedToken",
    toHex(tokenHash),
    toHex(from),
  ],

  /** Forgets all but the newest old tokens of a session. */
  dropOldTokens: (row: number): RowWrite => ["dropOldTokens", row, row, OLD_TOKENS],

  keepRequest: (
    key: RequestHash,
    { body, expiresAt, answer }: AnswerRecord,
    appId: number,
  ): RowWrite => ["keepRequest", toHex(key), toHex(body), expiresAt, answer, appId],

  deleteRequests: (rows: readonly number[]): RowWrite => ["deleteRequests", JSON.stringify(rows)],

  setPolicy: (app: string, policy: AppPolicy): RowWrite => [
    "setPolicy",
    app,
    policy.defaultIdleTtl,
    policy.maxIdleTtl,
    policy.defaultAbsoluteTtl,
    policy.maxAbsoluteTtl,
    policy.maxSessionsPerUser,
    policy.atLimit,
    policy.bindIp,
    policy.bindUserAgent,
    policy.touchInterval,
    policy.callerTokens ? 1 : 0,
  ],
  watchApp: (
    appId: number,
    { from, until }: { readonly from: number; readonly until: number },
  ): RowWrite => ["watchApp", from, until, appId],

  insertEvent: (appId: number, event: SessionEvent): RowWrite => [
    "insertEvent",
    event.revision,
    appId,
    event.type,
    event.sessionId,
    event.userId,
    event.version,
    event.occurredAt,
    event.endReason,
  ],

  /** Removes the events before a revision. */
  pruneEvents: (before: number): RowWrite => ["pruneEvents", before],
};

/** A hash as the statements take it that SQL makes bytes of. */
function toHex(hash: TokenHash | RequestHash): string {
  return Buffer.from(hash, "base64url").toString("hex");
}

/** What carries out one write on the connection. */
export function prepareRowWrites(db: Database): (write: RowWrite) => void {
  const statements = Object.fromEntries(
    Object.entries(STATEMENTS).map(([name, sql]) => [name, db.prepare(sql)]),
  ) as Record<StatementName, Statement<unknown[]>>;
  return ([name, ...values]) => {
    if (name === "insert") {
      const [row, tokenHash, sessionId, ...rest] = values;
      const hash = Buffer.from(String(tokenHash), "base64url");
      statements.insert.run(row, hash, idToBytes(String(sessionId)), ...rest);
    } else {
      statements[name].run(...values);
    }
  };
}
