import type { Database } from "better-sqlite3";
import type { EndReason } from "../../../domain/sessions/end-reason.js";
import type { SessionEvent, SessionEventType } from "../../../domain/sessions/session-event.js";
import type { Write } from "./write.js";

/** The columns of an event in the order of COLUMNS. */
type Row = [
  revision: number,
  type: SessionEventType,
  sessionId: string,
  userId: string,
  version: number,
  occurredAt: number,
  endReason: EndReason | null,
];

const COLUMNS = "revision, type, session_id, user_id, version, occurred_at, end_reason";

export const EVENT_STATEMENTS = {
  insertEvent: `INSERT INTO events (revision, app_id, type, session_id, user_id, version,
    occurred_at, end_reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  pruneEvents: "DELETE FROM events WHERE revision < ?",
} as const;

type EventWrite = Write<keyof typeof EVENT_STATEMENTS>;

export const eventWrites = {
  insertEvent: (appId: number, event: SessionEvent): EventWrite => [
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

  /** Deletes the events before a revision. */
  pruneEvents: (before: number): EventWrite => ["pruneEvents", before],
};

/** Prepares the reads of the event log. */
export function createEventReads(db: Database) {
  const statements = {
    bounds: db.prepare<[], { readonly first: number; readonly last: number }>(
      `SELECT coalesce((SELECT min(revision) FROM events), first_revision + 1) AS first,
         coalesce((SELECT max(revision) FROM events), first_revision) AS last
       FROM totals`,
    ),
    ofApp: db
      .prepare<[number, number, number], Row>(
        `SELECT ${COLUMNS} FROM events
         WHERE app_id = ? AND revision > ? AND revision <= ? ORDER BY revision`,
      )
      .raw(),
    ofUser: db
      .prepare<[number, string, number, number, number], Row>(
        `SELECT ${COLUMNS} FROM events INDEXED BY events_by_user
         WHERE app_id = ? AND user_id = ? AND revision > ? AND revision <= ?
         ORDER BY revision LIMIT ?`,
      )
      .raw(),
  };

  return {
    /** The lowest revision that may be in the log, and the highest ever given. */
    eventBounds: () => statements.bounds.get() ?? { first: 1, last: 0 },

    /** The app's events after one revision up to another. */
    eventsOfApp: (app: string, appId: number, after: number, upTo: number): SessionEvent[] =>
      statements.ofApp.all(appId, after, upTo).map((row) => fromRow(app, row)),

    /** The first `limit` of the user's. */
    eventsOfUser: (
      app: string,
      appId: number,
      userId: string,
      after: number,
      upTo: number,
      limit: number,
    ): SessionEvent[] =>
      statements.ofUser.all(appId, userId, after, upTo, limit).map((row) => fromRow(app, row)),
  };
}

function fromRow(app: string, row: Row): SessionEvent {
  const [revision, type, sessionId, userId, version, occurredAt, endReason] = row;
  return { revision, type, app, sessionId, userId, version, occurredAt, endReason };
}
