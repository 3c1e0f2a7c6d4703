import { resolve } from "node:path";
import Sqlite, { type Database } from "better-sqlite3";
import { LatchkeyError } from "../../domain/error.js";
import type { SessionStore, StoreObserver } from "../../domain/session-store.js";
import { type DatabaseLock, lockDatabase } from "./lock.js";
import { createPrivate } from "./private-file.js";
import { migrate } from "./schema.js";
import { createSqliteStore } from "./store.js";
import { openWriteAheadLog, type WriteAheadLog } from "./write-ahead-log.js";

/** Enough for about 100,000 sessions of ordinary size. */
const CACHE_BYTES = 128 * 1024 * 1024;

export interface OpenOptions {
  /** The database file; it and its folder are made if missing, readable by this user only. */
  readonly path: string;
  readonly observer: StoreObserver;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Called once, when the disk fails so that only a restart is safe. */
  readonly onFatal: (error: unknown) => void;
  readonly cacheBytes?: number;
}

/**
 * Opens the database as its one server and brings its schema up to date.
 * Throws `unavailable` if another server uses it or a later version wrote it.
 */
export function openSqliteStore(options: OpenOptions): SessionStore {
  const path = resolve(options.path);
  let lock: DatabaseLock | undefined;
  let db: Database | undefined;
  let log: WriteAheadLog | undefined;
  try {
    const file = createPrivate(path);
    createPrivate(`${file}.lock`);
    const held = lockDatabase(file);
    lock = held;
    db = openDatabase(file);
    migrate(db);
    log = openWriteAheadLog(file);
    return createSqliteStore({
      db,
      observer: options.observer,
      cacheBytes: options.cacheBytes ?? CACHE_BYTES,
      clock: options.clock,
      log,
      onFatal: options.onFatal,
      onClose: held.release,
    });
  } catch (error) {
    log?.close();
    db?.close();
    lock?.release();
    if (error instanceof LatchkeyError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new LatchkeyError("unavailable", `cannot use ${path}: ${reason}`, { cause: error });
  }
}

function openDatabase(path: string): Database {
  const db = new Sqlite(path, { timeout: 2_000 });
  db.pragma("journal_mode = WAL");
  // A commit does not wait for the disk; its answers do (see write-ahead-log.ts).
  db.pragma("synchronous = NORMAL");
  db.pragma("foreign_keys = ON");
  db.pragma("temp_store = MEMORY");
  db.pragma("cache_size = -32768");
  // 16 MiB of log: at the default of 4, copying it into the database stalls writers four
  // times as often and writes pages that change again anyway.
  db.pragma("wal_autocheckpoint = 4000");
  db.pragma("journal_size_limit = 67108864");
  return db;
}
