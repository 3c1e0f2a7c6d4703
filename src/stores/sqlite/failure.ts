import Sqlite from "better-sqlite3";
import { LatchkeyError, sessionExists } from "../../domain/error.js";

/** SQLite's code of a failed sync. */
export const SYNC_FAILURE = "SQLITE_IOERR_FSYNC";

/**
 * What a failure inside SQLite means to a caller. Errors that are not SQLite's
 * pass unchanged.
 */
export function translateFailure(error: unknown): Error {
  if (!(error instanceof Sqlite.SqliteError)) {
    return error instanceof Error ? error : new Error(String(error));
  }
  if (error.code.startsWith("SQLITE_CONSTRAINT_UNIQUE")) {
    return sessionExists(error);
  }
  if (error.code === "SQLITE_FULL") {
    return new LatchkeyError("unavailable", "the disk is full: nothing was written", {
      cause: error,
    });
  }
  if (isFatal(error)) return outcomeUnknown(error);
  if (error.code.startsWith("SQLITE_BUSY") || error.code.startsWith("SQLITE_LOCKED")) {
    return new LatchkeyError("unavailable", "the database is busy: try again", { cause: error });
  }
  return error;
}

/**
 * Whether nothing that the process believes of the file can be trusted any
 * more. After a failed fsync the kernel may have dropped the pages that it could
 * not write, so only a restart, which reads the file anew, is safe.
 */
export function isFatal(error: unknown): boolean {
  return (
    error instanceof Sqlite.SqliteError &&
    /^SQLITE_(IOERR|CORRUPT|NOTADB|CANTOPEN|READONLY)/.test(error.code)
  );
}

/** Whether the disk may not have what was written before. */
export function isSyncFailure(error: unknown): error is Error {
  return error instanceof Sqlite.SqliteError && error.code === SYNC_FAILURE;
}

/**
 * Whether a failed transaction may be the fault of one write in it, so that the
 * others deserve another try.
 */
export function isOwnFault(error: unknown): boolean {
  if (!(error instanceof Sqlite.SqliteError)) return false;
  return !isFatal(error) && !/^SQLITE_(FULL|BUSY|LOCKED)/.test(error.code);
}

function outcomeUnknown(cause: Error): LatchkeyError {
  const message = "the disk failed: it is unknown what was written";
  return new LatchkeyError("unavailable", message, { cause });
}
