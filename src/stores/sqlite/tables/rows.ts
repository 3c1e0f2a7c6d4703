import type { Database } from "better-sqlite3";
import type { AnswerRecord, RequestHash } from "../../../domain/sessions/idempotency-key.js";
import type { AppUsage } from "../../../domain/sessions/quotas.js";
import type { Lifetime, Session } from "../../../domain/sessions/session.js";
import type { EventSubject } from "../../../domain/sessions/session-event.js";
import type { TokenHash } from "../../../domain/token.js";
import type { JsonObject } from "../../../lib/json.js";
import type { BulkEndScope } from "../state/bulk-ends.js";

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

/** What must be known of a session to end it, and where it is. What it holds may be large. */
export interface SessionHead {
  readonly row: number;
  readonly tokenHash: TokenHash;
  readonly session: EventSubject;
  /** Size of its data as JSON in UTF-8. */
  readonly dataBytes: number;
}

/** An answer that is kept, and where. */
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

/** A session found by a token that was rotated. */
export interface FormerlyOpened {
  readonly stored: StoredSession;
  readonly graceEndsAt: number;
}

/** What decides whether a session of a user lives, and what finds it. */
export interface UserRow {
  readonly row: number;
  readonly tokenHash: TokenHash;
  readonly session: Lifetime;
}

/** What the database keeps so that nothing has to read the table for it. */
export interface Totals {
  readonly sessions: number;
  /** The highest row number ever given. */
  readonly lastRow: number;
}

/** The columns of a session in the order of COLUMNS. */
type Row = [
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

export const COLUMNS = `id, token_hash, session_id, user_id, ip, user_agent, data, reads, writes, version,
  created_at, last_accessed_at, idle_ttl, absolute_expires_at, spare_token`;

/** Which rows of an app to read, the newest first. */
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

export type Rows = ReturnType<typeof createRows>;

/** What reads the tables: prepared statements and the mapping of rows. */
export function createRows(db: Database) {
  const select = (rest: string) =>
    db.prepare<unknown[], Row>(`SELECT ${COLUMNS} FROM sessions ${rest}`).raw();
  const selectHead = (where: string) =>
    db
      .prepare<unknown[], HeadRow>(
        `SELECT ${HEAD} FROM sessions ${where} AND id < ? AND id <> ? ORDER BY id LIMIT ?`,
      )
      .raw();
  const statements = {
    app: db.prepare<[string], number>("SELECT id FROM apps WHERE name = ?").pluck(),
    appUsages: db.prepare<[], AppUsage & { readonly app: string }>(
      `SELECT name AS app, sessions, data_bytes AS dataBytes, answer_bytes AS answerBytes
       FROM apps`,
    ),
    lastApp: db.prepare<[], number>("SELECT max(id) FROM apps").pluck(),
    appName: db.prepare<[number], string>("SELECT name FROM apps WHERE id = ?").pluck(),
    byToken: select("WHERE app_id = ? AND token_hash = ?"),
    bySessionId: select("WHERE app_id = ? AND session_id = ?"),
    byRow: select("WHERE app_id = ? AND id = ?"),
    rotatedToken: db
      .prepare<[Buffer], [session: number, graceEndsAt: number]>(
        "SELECT session, grace_ends_at FROM rotated_tokens WHERE token_hash = ?",
      )
      .raw(),
    takenToken: db
      .prepare<[Buffer, Buffer], number>(
        `SELECT 1 FROM sessions WHERE token_hash = ?
         UNION ALL SELECT 1 FROM rotated_tokens WHERE token_hash = ?`,
      )
      .pluck(),
    request: db
      .prepare<[Buffer], [body: Buffer, expiresAt: number, answer: string, appId: number | null]>(
        "SELECT body_hash, expires_at, answer, app_id FROM requests WHERE key_hash = ?",
      )
      .raw(),
    expiredRequests: db
      .prepare<[number, number], [row: number, key: Buffer, app: string | null, bytes: number]>(
        `SELECT requests.rowid, key_hash, name, octet_length(answer)
         FROM requests LEFT JOIN apps ON apps.id = app_id
         WHERE expires_at <= ? ORDER BY expires_at LIMIT ?`,
      )
      .raw(),
    firstExpiry: db
      .prepare<[], number>("SELECT expires_at FROM requests ORDER BY expires_at LIMIT 1")
      .pluck(),
    // The index named is the one that yields the order, so that a page costs
    // what it shows and not the whole app.
    byApp: select(
      "INDEXED BY sessions_by_app WHERE app_id = ? AND id < ? AND id >= ? ORDER BY id DESC LIMIT ?",
    ),
    byUser: select(
      "INDEXED BY sessions_by_user WHERE app_id = ? AND user_id = ? AND id < ? AND id >= ? ORDER BY id DESC LIMIT ?",
    ),
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
    appToEnd: selectHead("INDEXED BY sessions_by_app WHERE app_id = ?"),
    userToEnd: selectHead("INDEXED BY sessions_by_user WHERE app_id = ? AND user_id = ?"),
    firstSweep: db
      .prepare<[], number>("SELECT sweep_at FROM sessions ORDER BY sweep_at LIMIT 1")
      .pluck(),
    totals: db.prepare<[], Totals>("SELECT sessions, last_id AS lastRow FROM totals"),
  };

  const headOfApp = (row: [...HeadRow, number]): SessionHead => {
    const [appId] = row.slice(-1) as [number];
    return headFromRow(statements.appName.get(appId) ?? "", row as unknown as HeadRow);
  };

  return {
    /** The number of an app, or null if it never had a session. */
    app: (name: string): number | null => statements.app.get(name) ?? null,
    /** The highest number given to an app; 0 if there is none. */
    lastApp: (): number => statements.lastApp.get() ?? 0,

    byToken(app: string, appId: number, tokenHash: TokenHash): StoredSession | null {
      const row = statements.byToken.get(appId, Buffer.from(tokenHash, "base64url"));
      return row ? fromRow(app, row) : null;
    },

    bySessionId(app: string, appId: number, sessionId: string): StoredSession | null {
      const row = statements.bySessionId.get(appId, idToBytes(sessionId));
      return row ? fromRow(app, row) : null;
    },

    /** The app's session that the token opened before it was rotated. */
    byRotatedToken(app: string, appId: number, tokenHash: TokenHash): FormerlyOpened | null {
      const rotated = statements.rotatedToken.get(Buffer.from(tokenHash, "base64url"));
      if (!rotated) return null;
      const [session, graceEndsAt] = rotated;
      const row = statements.byRow.get(appId, session);
      return row ? { stored: fromRow(app, row), graceEndsAt } : null;
    },

    /** Whether a session has the token, or had it. */
    hasToken(tokenHash: TokenHash): boolean {
      const hash = Buffer.from(tokenHash, "base64url");
      return statements.takenToken.get(hash, hash) !== undefined;
    },

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
      statements.expiredRequests.all(now, limit).map(([row, key, app, bytes]) => ({
        row,
        key: key.toString("base64url") as RequestHash,
        app,
        bytes,
      })),

    /** How much each app has, as the last commit left it. */
    appUsages: (): (AppUsage & { readonly app: string })[] => statements.appUsages.all(),

    /** Rows of an app or a user, the newest first, read one by one: a caller that
     * stops early leaves the rest unread. No other statement may run meanwhile. */
    *list({ app, appId, userId, before, from, limit }: RowQuery): Generator<StoredSession> {
      const rows =
        userId === undefined
          ? statements.byApp.iterate(appId, before, from, limit)
          : statements.byUser.iterate(appId, userId, before, from, limit);
      for (const row of rows) yield fromRow(app, row);
    },

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

    /** At most `limit` sessions whose time to be looked at has come. */
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

    /** At most `limit` of the rows of a scope, the oldest first. */
    toEnd({ app, appId, userId, before, keep }: BulkEndScope, limit: number): SessionHead[] {
      const rows =
        userId === null
          ? statements.appToEnd.all(appId, before, keep ?? 0, limit)
          : statements.userToEnd.all(appId, userId, before, keep ?? 0, limit);
      return rows.map((row) => headFromRow(app, row));
    },

    /** The instant (ms) at which the first session is to be looked at; null if there is none. */
    firstSweep: (): number | null => statements.firstSweep.get() ?? null,

    totals: (): Totals => statements.totals.get() ?? { sessions: 0, lastRow: 0 },
  };
}

function fromRow(app: string, row: Row): StoredSession {
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

export function idToBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}

function idFromBytes(bytes: Buffer): string {
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
