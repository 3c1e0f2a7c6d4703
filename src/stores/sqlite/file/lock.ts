import Sqlite from "better-sqlite3";
import { LatchkeyError } from "../../../domain/error.js";
import { isFileThere } from "./presence.js";
import { createPrivate } from "./private-file.js";
import { LOOK_INTERVAL } from "./watch.js";

/** Milliseconds in which a server notices that its lock's file is gone, and refuses all calls. */
const NOTICE = 3 * LOOK_INTERVAL;

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
 * Where there is a log but no lock's file, a server may be at work whose lock was deleted, and nobody
 * can see it: this waits by `rest` (ms, holding the thread) until such a one has noticed and ended.
 *
 * Throws `unavailable` if another server holds it.
 */
export function lockDatabase(path: string, rest: (milliseconds: number) => void): DatabaseLock {
  const isUnseen = !isFileThere(`${path}.lock`) && isFileThere(`${path}-wal`);
  createPrivate(`${path}.lock`);
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
  if (isUnseen) rest(NOTICE);
  return { release: () => lock.close() };
}
