import Sqlite from "better-sqlite3";
import {
  describeFault,
  internalError,
  LatchkeyError,
  sessionExists,
} from "../../../domain/error.js";

/** SQLite's code of a failed sync. */
export const SYNC_FAILURE = "SQLITE_IOERR_FSYNC";

/**
 * What a failure inside SQLite means to a caller. Errors that are not SQLite's
 * pass unchanged.
 */
export function translateFailure(error: unknown, work: "read" | "write" = "write"): Error {
  if (!(error instanceof Sqlite.SqliteError)) {
    return error instanceof Error ? error : new Error(describeFault(error));
  }
  if (error.code.startsWith("SQLITE_CONSTRAINT_UNIQUE")) {
    return sessionExists(error);
  }
  if (error.code === "SQLITE_FULL") {
    return new LatchkeyError("unavailable", "the disk is full: nothing was written", {
      cause: error,
    });
  }
  if (isDamagedPage(error)) return damagedPage(error);
  if (isDamage(error)) return damaged(work, error);
  if (isFatal(error)) return diskFailed(work, error);
  if (error.code.startsWith("SQLITE_CANTOPEN")) {
    // The database is open since the start. What may not be opened now is a file for a while, for the
    // process has as many as it may.
    const message = "the server has too many files open: nothing was written, try again later";
    return new LatchkeyError("unavailable", message, { cause: error });
  }
  if (isBusy(error)) {
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
  return error instanceof Sqlite.SqliteError && /^SQLITE_(IOERR|NOTADB|READONLY)/.test(error.code);
}

/** Whether another connection writes, so that the same may work later. */
export function isBusy(error: unknown): boolean {
  return error instanceof Sqlite.SqliteError && /^SQLITE_(BUSY|LOCKED)/.test(error.code);
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
  return !isFatal(error) && !/^SQLITE_(FULL|BUSY|LOCKED|CANTOPEN)/.test(error.code);
}

/** Whether the file itself is wrong, so that no restart mends it. */
export function isDamage(error: unknown): boolean {
  return error instanceof Sqlite.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code);
}

/**
 * Whether a page that was needed is damaged. Whatever needs none that is goes on; a transaction
 * that met one was rolled back.
 */
export function isDamagedPage(error: unknown): boolean {
  return error instanceof Sqlite.SqliteError && error.code.startsWith("SQLITE_CORRUPT");
}

/** Whether this is what a call is answered that met a damaged page. */
export function isDamageAnswer(error: unknown): boolean {
  return error instanceof LatchkeyError && isDamagedPage(error.cause);
}

function damagedPage(cause: Error): LatchkeyError {
  return internalError(cause);
}

const UNKNOWN = "it is unknown what was written";

function damaged(work: "read" | "write", cause: Error): LatchkeyError {
  const effect = work === "read" ? "the call wrote nothing" : UNKNOWN;
  const message = `the database is damaged, and must be restored from a backup: ${effect}`;
  return new LatchkeyError("unavailable", message, { cause });
}

function diskFailed(work: "read" | "write", cause: Error): LatchkeyError {
  const effect = work === "read" ? "the call could not be answered, and wrote nothing" : UNKNOWN;
  return new LatchkeyError("unavailable", `the disk failed: ${effect}`, { cause });
}

/** Bytes of free space below which a disk that fails is a full one. */
const FULL_BELOW = 65_536;

/**
 * Why a database could not be opened, for an operator. SQLite has one message for whatever the
 * system refuses, a full disk among it; `freeBytes` answers how much the user may write there.
 */
export function openFailure(error: unknown, freeBytes: () => number): string {
  const reason = describeFault(error);
  if (!(error instanceof Sqlite.SqliteError)) return reason;
  if (error.code === "SQLITE_FULL") return "the disk is full";
  if (error.code.startsWith("SQLITE_IOERR") && freeBytes() < FULL_BELOW) {
    return `the disk is full (${reason})`;
  }
  if (error.code.startsWith("SQLITE_NOTADB"))
    return "it is no SQLite database, or its head is damaged";
  if (error.code.startsWith("SQLITE_CORRUPT")) return `it is damaged (${reason}): restore a backup`;
  if (error.code.startsWith("SQLITE_CANTOPEN") || error.code.startsWith("SQLITE_READONLY")) {
    return `${reason}: it must be a file that this user may read and write, in a folder likewise`;
  }
  return reason;
}
