import Sqlite, { type Database } from "better-sqlite3";

/** One is enough unless processes queue up to make the same database. */
const ATTEMPTS = 10;

/**
 * Has the database use a write-ahead log. Where another process is about to do
 * the same to a new file, SQLite fails at once instead of waiting as it does
 * elsewhere; so this waits for that process, as long as the connection's busy
 * timeout, and tries again.
 */
export function useWriteAheadLog(db: Database): void {
  for (let attempt = 1; ; attempt++) {
    try {
      db.pragma("journal_mode = WAL");
      return;
    } catch (error) {
      const isBusy = error instanceof Sqlite.SqliteError && error.code.startsWith("SQLITE_BUSY");
      if (!isBusy || attempt === ATTEMPTS) throw error;
      db.exec("BEGIN EXCLUSIVE; COMMIT");
    }
  }
}
