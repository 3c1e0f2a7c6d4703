import type { Database } from "better-sqlite3";
import { LatchkeyError } from "../../domain/error.js";

/**
 * The migrations, in order; `user_version` counts those applied. A released one
 * is never edited: a change of the schema is a new one at the end.
 *
 * `sweep_at` is at or before the session's deadline and is moved by the sweep
 * only, so that touches leave its index alone. `totals` holds the number of
 * sessions, so that nothing has to count them, and the highest id ever given.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE apps (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
  ) STRICT;

  CREATE TABLE sessions (
    id                  INTEGER PRIMARY KEY,
    token_hash          BLOB    NOT NULL UNIQUE,
    session_id          BLOB    NOT NULL UNIQUE,
    app_id              INTEGER NOT NULL REFERENCES apps (id),
    user_id             TEXT    NOT NULL,
    ip                  TEXT    NOT NULL,
    user_agent          TEXT    NOT NULL,
    data                TEXT    NOT NULL,
    reads               INTEGER NOT NULL,
    writes              INTEGER NOT NULL,
    version             INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    last_accessed_at    INTEGER NOT NULL,
    idle_ttl            INTEGER NOT NULL,
    absolute_expires_at INTEGER,
    sweep_at            INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX sessions_by_app ON sessions (app_id);
  CREATE INDEX sessions_by_user ON sessions (app_id, user_id);
  CREATE INDEX sessions_by_access ON sessions (app_id, last_accessed_at);
  CREATE INDEX sessions_by_sweep ON sessions (sweep_at);

  CREATE TABLE totals (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    sessions INTEGER NOT NULL,
    last_id  INTEGER NOT NULL
  ) STRICT;
  INSERT INTO totals VALUES (1, 0, 0);
  `,
];

/** Brings the schema up to date, each migration in a transaction of its own. */
export function migrate(db: Database): void {
  const applied = db.pragma("user_version", { simple: true }) as number;
  if (applied > MIGRATIONS.length) {
    throw new LatchkeyError(
      "unavailable",
      `the database has schema ${applied}, this version knows ${MIGRATIONS.length}: start the version that wrote it, or a later one`,
    );
  }
  for (const [index, migration] of MIGRATIONS.entries()) {
    if (index < applied) continue;
    db.transaction(() => {
      db.exec(migration);
      db.pragma(`user_version = ${index + 1}`);
    }).immediate();
  }
}
