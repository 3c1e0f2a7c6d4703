import Sqlite from "better-sqlite3";
import { LatchkeyError } from "../../domain/error.js";

export interface DatabaseLock {
  /** Lets another server have the database. May be called again. */
  readonly release: () => void;
}

/**
 * Makes this the one server of a database: holds an exclusive lock on a file
 * beside it until `release`. The lock is the operating system's, so it ends
 * with the process, however that ends; the file may stay. Readers and the
 * command line do not ask for it.
 *
 * Throws `unavailable` if another server holds it.
 */
export function lockDatabase(path: string): DatabaseLock {
  const lock = new Sqlite(`${path}.lock`, { timeout: 0 });
  try {
    // With a journal in memory there is no second file, and nothing to recover.
    lock.pragma("journal_mode = MEMORY");
    lock.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    lock.close();
    if (error instanceof Sqlite.SqliteError && error.code.startsWith("SQLITE_BUSY")) {
      throw new LatchkeyError(
        "unavailable",
        `another Latchkey server uses ${path}: stop it, or give this one another LATCHKEY_STORE`,
      );
    }
    throw error;
  }
  return { release: () => lock.close() };
}
