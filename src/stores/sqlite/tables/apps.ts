import type { Database } from "better-sqlite3";
import type { AppUsage } from "../../../domain/sessions/quotas.js";
import type { Write } from "./write.js";

/** An app whose events are logged: its number, and between which revision and which instant. */
export interface WatchedApp {
  readonly app: string;
  readonly appId: number;
  readonly from: number;
  readonly until: number;
}

export const APP_STATEMENTS = {
  insertApp: "INSERT INTO apps (id, name) VALUES (?, ?)",
  appUsage: "UPDATE apps SET sessions = ?, data_bytes = ?, answer_bytes = ? WHERE id = ?",
  watchApp: "UPDATE apps SET logged_from = ?, logged_until = ? WHERE id = ?",
} as const;

type AppWrite = Write<keyof typeof APP_STATEMENTS>;

export const appWrites = {
  insertApp: (id: number, name: string): AppWrite => ["insertApp", id, name],

  appUsage: (id: number, { sessions, dataBytes, answerBytes }: AppUsage): AppWrite => [
    "appUsage",
    sessions,
    dataBytes,
    answerBytes,
    id,
  ],

  watchApp: (
    appId: number,
    { from, until }: { readonly from: number; readonly until: number },
  ): AppWrite => ["watchApp", from, until, appId],
};

/** Prepares the reads of apps. */
export function createAppReads(db: Database) {
  const statements = {
    app: db.prepare<[string], number>("SELECT id FROM apps WHERE name = ?").pluck(),
    lastApp: db.prepare<[], number>("SELECT max(id) FROM apps").pluck(),
    usages: db.prepare<[], AppUsage & { readonly app: string }>(
      `SELECT name AS app, sessions, data_bytes AS dataBytes, answer_bytes AS answerBytes
       FROM apps`,
    ),
    watched: db.prepare<[], WatchedApp>(
      `SELECT name AS app, id AS appId, logged_from AS "from", logged_until AS until
       FROM apps WHERE logged_until > 0`,
    ),
  };

  return {
    /** The number of an app, or null if it never had a session. */
    app: (name: string): number | null => statements.app.get(name) ?? null,

    /** The highest number given to an app; 0 if there is none. */
    lastApp: (): number => statements.lastApp.get() ?? 0,

    /** How much each app has, as the last commit left it. */
    appUsages: (): (AppUsage & { readonly app: string })[] => statements.usages.all(),

    watchedApps: (): WatchedApp[] => statements.watched.all(),
  };
}
