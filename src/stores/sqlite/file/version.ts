import Sqlite from "better-sqlite3";

/** Returns the version of the SQLite that is in use, such as `3.50.4`. */
export function sqliteVersion(): string {
  const db = new Sqlite(":memory:");
  try {
    return db.prepare("SELECT sqlite_version()").pluck().get() as string; // As SQLite documents it.
  } finally {
    db.close();
  }
}
