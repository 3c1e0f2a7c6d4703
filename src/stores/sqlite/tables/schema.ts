import type { Database } from "better-sqlite3";
import { LatchkeyError } from "../../../domain/error.js";

/**
 * The migrations, in order; `user_version` counts those applied. A released one
 * is never edited: a change of the schema is a new one at the end.
 *
 * `sweep_at` is at or before the session's deadline and is moved by the sweep
 * only, so that touches leave its index alone. `totals` holds the number of
 * sessions, so that nothing has to count them, and the highest id ever given.
 *
 * The ids of accounts and keys are never given again (AUTOINCREMENT). `apps` is
 * a JSON array of strings. `account_changes` has a row for each of the last changes
 * of accounts and keys, notes of a key's last use excepted; its highest id is the
 * version of them all. It has names, not ids, for it outlives accounts.
 *
 * `rotated_tokens` has the old tokens of sessions; `version` is the session's after the
 * rotation, and orders them. `spare_token` is the hash of the one that is good until the
 * session's own is used; null: that was, or there was no rotation. `requests` has the answers given to calls with a request id, as
 * JSON.
 * `app_policies` has names, for an app has a row in `apps` from its first session only.
 * `events` has the last events of the apps that are watched, numbered without gaps. An app's are
 * logged after the revision `logged_from` until the instant `logged_until`; 0: never.
 * `bulk_ends`: the sessions of an app, or of one of its users, with ids below `before`, but for
 * `keep`, ended at `ended_at`; their rows are removed little by little.
 * What `apps` counts of an app, in its last three columns, is what `quotas.ts` says of it;
 * `requests.app_id` is null for answers of before, which no app counts.
 * `first_revision` is below the first one ever given, and random, so that no other database's
 * revisions are taken for this one's.
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
  `
  CREATE TABLE accounts (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    name             TEXT    NOT NULL UNIQUE,
    role             TEXT    NOT NULL CHECK (role IN ('Admin', 'User')),
    apps             TEXT    NOT NULL,
    rke              INTEGER NOT NULL CHECK (rke IN (0, 1)),
    enabled          INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    password_hash    TEXT,
    password_changes INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE api_keys (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id   INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    key_hash     BLOB    NOT NULL UNIQUE,
    label        TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER
  ) STRICT;
  CREATE INDEX api_keys_by_account ON api_keys (account_id);

  CREATE TABLE account_changes (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    account TEXT    NOT NULL,
    change  TEXT    NOT NULL,
    key_id  INTEGER
  ) STRICT;
  `,
  `
  CREATE TABLE rotated_tokens (
    token_hash    BLOB    NOT NULL PRIMARY KEY,
    session       INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    version       INTEGER NOT NULL,
    grace_ends_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX rotated_tokens_by_session ON rotated_tokens (session, version);

  CREATE TABLE requests (
    key_hash   BLOB    NOT NULL PRIMARY KEY,
    body_hash  BLOB    NOT NULL,
    expires_at INTEGER NOT NULL,
    answer     TEXT    NOT NULL
  ) STRICT;
  CREATE INDEX requests_by_expiry ON requests (expires_at);
  `,
  `
  CREATE TABLE app_policies (
    app                   TEXT    PRIMARY KEY,
    default_idle_ttl      INTEGER,
    max_idle_ttl          INTEGER,
    default_absolute_ttl  INTEGER,
    max_absolute_ttl      INTEGER,
    max_sessions_per_user INTEGER NOT NULL,
    at_limit              TEXT    NOT NULL
      CHECK (at_limit IN ('refuse', 'evict_oldest', 'evict_least_recently_used')),
    bind_ip               TEXT    NOT NULL CHECK (bind_ip IN ('off', 'report', 'end')),
    bind_user_agent       TEXT    NOT NULL CHECK (bind_user_agent IN ('off', 'report', 'end')),
    touch_interval        INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  ALTER TABLE apps ADD COLUMN logged_from INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE apps ADD COLUMN logged_until INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE totals ADD COLUMN first_revision INTEGER NOT NULL DEFAULT 0;
  UPDATE totals SET first_revision = abs(random() % 70368744177664);

  CREATE TABLE events (
    revision    INTEGER PRIMARY KEY,
    app_id      INTEGER NOT NULL REFERENCES apps (id),
    type        TEXT    NOT NULL,
    session_id  TEXT    NOT NULL,
    user_id     TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    end_reason  TEXT
  ) STRICT;
  CREATE INDEX events_by_user ON events (app_id, user_id);
  `,
  `
  CREATE TABLE bulk_ends (
    id       INTEGER PRIMARY KEY,
    app_id   INTEGER NOT NULL REFERENCES apps (id),
    user_id  TEXT,
    before   INTEGER NOT NULL,
    keep     INTEGER,
    ended_at INTEGER NOT NULL
  ) STRICT;
  DROP INDEX sessions_by_access;
  `,
  `
  ALTER TABLE app_policies ADD COLUMN caller_tokens INTEGER NOT NULL DEFAULT 0
    CHECK (caller_tokens IN (0, 1));
  `,
  `
  ALTER TABLE sessions ADD COLUMN spare_token BLOB;
  `,
  `
  ALTER TABLE apps ADD COLUMN sessions INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE apps ADD COLUMN data_bytes INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE apps ADD COLUMN answer_bytes INTEGER NOT NULL DEFAULT 0;
  UPDATE apps SET sessions = counted.sessions, data_bytes = counted.bytes
    FROM (SELECT app_id, count(*) AS sessions, sum(octet_length(data)) AS bytes
      FROM sessions INDEXED BY sessions_by_app GROUP BY app_id) AS counted
    WHERE id = counted.app_id;
  ALTER TABLE requests ADD COLUMN app_id INTEGER;
  `,
];

/**
 * Removes the apps that there is nothing of, so that names that were used once do not fill what
 * apps there may be. No event log of theirs may be resumed any more.
 */
export function forgetUnusedApps(db: Database): void {
  db.exec(`DELETE FROM apps WHERE sessions = 0 AND answer_bytes = 0
    AND NOT EXISTS (SELECT 1 FROM sessions WHERE app_id = apps.id)
    AND NOT EXISTS (SELECT 1 FROM events WHERE app_id = apps.id)
    AND NOT EXISTS (SELECT 1 FROM bulk_ends WHERE app_id = apps.id)
    AND logged_until < unixepoch() * 1000`);
}

/**
 * Brings the schema up to date, each migration in a transaction of its own. A
 * server and the command line may do so at once. Throws `unavailable` if a later
 * version wrote the database.
 */
export function migrate(db: Database): void {
  const applied = () => db.pragma("user_version", { simple: true }) as number;
  if (applied() > MIGRATIONS.length) {
    throw new LatchkeyError(
      "unavailable",
      `the database has schema ${applied()}, this version knows ${MIGRATIONS.length}: start the version that wrote it, or a later one`,
    );
  }
  for (const [index, migration] of MIGRATIONS.entries()) {
    if (index < applied()) continue;
    db.transaction(() => {
      // Asked again, for another process may have applied it meanwhile.
      if (index < applied()) return;
      db.exec(migration);
      db.pragma(`user_version = ${index + 1}`);
    }).immediate();
  }
}
