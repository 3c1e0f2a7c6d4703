import Sqlite, { type Database } from "better-sqlite3";
import { useWriteAheadLog } from "./journal-mode.js";

/** Bytes of the log's file that are kept for later once the log has been copied. */
export const KEPT_WAL_BYTES = 64 * 2 ** 20;

/** A connection to the database at `path`, set up as every one must be. */
export function openConnection(path: string): Database {
  const db = new Sqlite(path, { timeout: 2_000 });
  useWriteAheadLog(db);
  // An answered write survives a power cut; the library's build has NORMAL, which would not.
  db.pragma("synchronous = FULL");
  db.pragma("foreign_keys = ON");
  db.pragma("temp_store = MEMORY");
  db.pragma("cache_size = -32768");
  db.pragma(`journal_size_limit = ${KEPT_WAL_BYTES}`);
  return db;
}
