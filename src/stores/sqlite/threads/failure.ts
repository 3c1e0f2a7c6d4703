import Sqlite from "better-sqlite3";
import { describeFault } from "../../../domain/error.js";
import { SYNC_FAILURE } from "../file/failure.js";

/** An SqliteError in a form that can leave its thread. */
export interface Failure {
  readonly message: string;
  readonly code: string;
}

export function toFailure(error: unknown): Failure {
  if (error instanceof Sqlite.SqliteError) return { message: error.message, code: error.code };
  return brokenBy(error);
}

/** Any other fault of a thread counts as one of the disk: what was written is unknown. */
export function brokenBy(cause: unknown): Failure {
  return { message: `the writer failed: ${describeFault(cause)}`, code: "SQLITE_IOERR" };
}

/** A checkpointer that fails counts as a failed sync of what it copied. */
export function unsyncedBy(cause: unknown): Failure {
  return { message: `a checkpoint failed: ${describeFault(cause)}`, code: SYNC_FAILURE };
}

/** One that could not begin to copy left everything in the log. */
export function notCopiedBy(cause: unknown): Failure {
  return {
    message: `a checkpoint did not begin: ${describeFault(cause)}`,
    code: "SQLITE_CANTOPEN",
  };
}

export function fromFailure({ message, code }: Failure): Error {
  return new Sqlite.SqliteError(message, code);
}
