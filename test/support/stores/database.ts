import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Sqlite, { type Database } from "better-sqlite3";
import type { AccountStore } from "../../../src/domain/accounts/account-store.js";
import type { AppUsage } from "../../../src/domain/sessions/quotas.js";
import type { SessionStore } from "../../../src/domain/sessions/session-store.js";
import {
  type AccountStoreOptions,
  openAccountStore,
} from "../../../src/stores/sqlite/accounts/store.js";
import { openDirectWriter } from "../../../src/stores/sqlite/commit/writer.js";
import { type OpenOptions, openSqliteStore } from "../../../src/stores/sqlite/open.js";
import { NO_PREFETCH } from "../../../src/stores/sqlite/prefetch/client.js";
import { type OpenedStore, recordObserver, withStore } from "./fixture.js";

/** A SQLite store over a file in a fresh folder. */
export interface DatabaseTrial extends OpenedStore {
  readonly reopen: () => Promise<SessionStore>;
  readonly path: string;
  /** The connection that the first store writes by, to look at and to make fail. */
  readonly connection: Database;
  /** What was told to `onFatal`. */
  readonly fatal: readonly unknown[];
  /** Runs `query` on a second connection, which cannot write. */
  inspect<T>(query: (db: Database) => T): T;
  /** Runs SQL on a second connection. */
  tamper(sql: string): void;
}

/** Makes a folder, lets `body` use it and removes it. */
export async function withFolder(body: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-"));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Opens a store that tells nobody of anything, and writes in this thread unless told otherwise. */
export function openQuietly(path: string, options: Partial<OpenOptions> = {}): SessionStore {
  return openSqliteStore({
    path,
    observer: recordObserver().observer,
    clock: () => 0,
    onFatal: () => undefined,
    cacheBytes: 2 ** 24,
    openWriter: openDirectWriter,
    openPrefetch: () => NO_PREFETCH,
    ...options,
  });
}

/** Opens accounts, whose changes `tester` makes at time 0 unless told otherwise. */
export function openAccounts(
  path: string,
  options: Partial<AccountStoreOptions> = {},
): AccountStore {
  return openAccountStore({ path, actor: "tester", now: () => 0, ...options });
}

/** What `work` answers, on a connection of its own. */
export function connect<T>(
  path: string,
  work: (db: Database) => T,
  options: Sqlite.Options = {},
): T {
  const db = new Sqlite(path, options);
  try {
    return work(db);
  } finally {
    db.close();
  }
}

export function createDatabase(options: Partial<OpenOptions> = {}): DatabaseTrial {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-"));
  const path = join(folder, "latchkey.db");
  const seen = recordObserver();
  const fatal: unknown[] = [];
  const open = () =>
    openQuietly(path, {
      observer: seen.observer,
      onFatal: (error) => fatal.push(error),
      ...options,
    });
  const inspect = <T>(query: (db: Database) => T) => connect(path, query, { readonly: true });

  const caught = catchConnection(open);
  const { store } = caught;
  let current = store;
  return {
    store,
    get connection() {
      return caught.connection;
    },
    seen,
    path,
    fatal,
    inspect,
    tamper: (sql) => connect(path, (db) => db.exec(sql)),
    async reopen() {
      await current.close();
      current = open();
      return current;
    },
    async dispose() {
      try {
        await current.close();
        inspect(assertSound);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  };
}

/** Runs `body` over a new database. */
export function withDatabase(
  body: (trial: DatabaseTrial) => Promise<void>,
  options: Partial<OpenOptions> = {},
): Promise<void> {
  return withStore(() => createDatabase(options), body);
}

/** Asserts that the file is whole and that the number of sessions it states is true. */
function assertSound(db: Database): void {
  assert.equal(db.pragma("integrity_check", { simple: true }), "ok");
  assert.deepEqual(db.pragma("foreign_key_check"), []);
  const stated = db.prepare("SELECT sessions FROM totals").pluck().get();
  assert.equal(stated, db.prepare("SELECT count(*) FROM sessions").pluck().get());
  assert.deepEqual(appUsages(db).stated, appUsages(db).counted);
}

/** What the file states of each app that there is something of, and what a count of it finds. */
export function appUsages(db: Database) {
  const names = "name, coalesce(s.n, 0) AS sessions, coalesce(s.bytes, 0) AS dataBytes";
  const counted = `SELECT ${names}, coalesce(r.bytes, 0) AS answerBytes FROM apps
    LEFT JOIN (SELECT app_id, count(*) AS n, sum(octet_length(data)) AS bytes
      FROM sessions GROUP BY app_id) AS s ON s.app_id = apps.id
    LEFT JOIN (SELECT app_id, sum(octet_length(answer) + 128) AS bytes
      FROM requests GROUP BY app_id) AS r ON r.app_id = apps.id ORDER BY name`;
  const stated = `SELECT name, sessions, data_bytes AS dataBytes, answer_bytes AS answerBytes
    FROM apps ORDER BY name`;
  const read = (sql: string) => db.prepare<[], AppUsage & { name: string }>(sql).all();
  return { counted: read(counted), stated: read(stated) };
}

/** The store that `open` makes, and the connection that it writes by. */
export function catchConnection(open: () => SessionStore) {
  const prepare: Database["prepare"] = Sqlite.prototype.prepare;
  let caught: unknown;
  // Not by node:test's mocks, which keep every call until the process ends.
  Sqlite.prototype.prepare = function (this: Database, sql: string) {
    if (sql.startsWith("BEGIN")) caught = this;
    return prepare.call(this, sql);
  } as typeof prepare;
  try {
    const store = open();
    const writing = caught;
    return {
      store,
      get connection(): Database {
        assert.ok(writing instanceof Sqlite, "only a writer in this thread can be caught");
        return writing;
      },
    };
  } finally {
    Sqlite.prototype.prepare = prepare;
  }
}
