import { closeSync, fdatasyncSync, linkSync, openSync, readSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import Sqlite from "better-sqlite3";
import { describeFault, LatchkeyError } from "../../../domain/error.js";
import { isFileThere } from "./presence.js";
import { syncPath } from "./sync-path.js";

/** Pages copied, and bytes read, at a time: some milliseconds of work. */
const SLICE_PAGES = 256;
const SLICE_BYTES = 2 ** 20;

/**
 * Pages of the copy that are not on disk yet, at most. The sync of a server's commit may wait until
 * the system has written those of all new files: 236 ms for a write beside a backup of 4 GB that left
 * it to the system, 50 ms with this.
 */
const SYNC_PAGES = 8 * SLICE_PAGES;

/**
 * The rest after each batch, in so many times the batch's own time: a server beside it has most of
 * the processor and of the disk (`bench -- upkeep`).
 */
const REST = 2;

/** How a backup goes on beside a server without holding it up. */
export interface Pace {
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Waits so many milliseconds, holding the thread: the library begins its next batch at once,
   * whatever the event loop has to do. */
  readonly rest: (milliseconds: number) => void;
  /** From here on lets all else have the processor first: for the check, which cannot rest. */
  readonly giveWay: () => void;
}

/**
 * Copies the database at `from` to the new file `to`: one consistent state of
 * it, checked and on disk when this resolves, while a server may be writing.
 * Rejects with `invalid` if `from` is missing or `to` exists, with `unavailable` if the copy
 * fails; then there is no `to`.
 */
export async function backupDatabase(from: string, to: string, pace: Pace): Promise<void> {
  if (!isFileThere(from)) throw new LatchkeyError("invalid", `there is no database at ${from}`);
  if (isFileThere(to)) throw new LatchkeyError("invalid", `${to} exists already`);
  const partial = `${to}.partial-${process.pid}`;
  try {
    // Made first, so that no other user can read the copy while it grows.
    closeSync(openSync(partial, "wx", 0o600));
    await copyPages(from, partial, pace);
    readThrough(partial, pace);
    pace.giveWay();
    check(partial);
    syncPath(partial);
    // Unlike a rename, a link does not replace a file that came to be meanwhile.
    linkSync(partial, to);
    rmSync(partial);
    syncPath(dirname(to));
  } catch (error) {
    rmSync(partial, { force: true });
    if (error instanceof LatchkeyError) throw error;
    const reason = describeFault(error);
    throw new LatchkeyError("unavailable", `the backup failed: ${reason}`, { cause: error });
  }
}

/** Copies the pages of one state. `VACUUM INTO` builds all trees anew, for twice the processor. */
async function copyPages(from: string, to: string, pace: Pace): Promise<void> {
  const db = new Sqlite(from, { fileMustExist: true });
  const file = openSync(to, "r");
  try {
    // Holds the state that this reads. Else whatever is written meanwhile begins the copy anew.
    db.exec("BEGIN");
    db.prepare("SELECT count(*) FROM sqlite_schema").get();
    const restAfterSlice = createRests(pace);
    await db.backup(to, {
      progress({ totalPages, remainingPages }) {
        if ((totalPages - remainingPages) % SYNC_PAGES === 0) fdatasyncSync(file);
        restAfterSlice();
        return SLICE_PAGES;
      },
    });
  } finally {
    db.close();
    // Not before: a process gives up its locks of a file when it closes any handle of it.
    closeSync(file);
  }
}

/**
 * Brings a file into the system's memory, since the check, which cannot rest, took twelve times as
 * long from the disk, and gets waited for it.
 */
function readThrough(path: string, pace: Pace): void {
  const buffer = Buffer.allocUnsafe(SLICE_BYTES);
  const file = openSync(path, "r");
  try {
    const restAfterSlice = createRests(pace);
    while (readSync(file, buffer) > 0) restAfterSlice();
  } finally {
    closeSync(file);
  }
}

/** What is called after each batch, and rests by how long that took. */
function createRests({ clock, rest }: Pace): () => void {
  let start = clock();
  return () => {
    rest(REST * (clock() - start));
    start = clock();
  };
}

function check(path: string): void {
  const db = new Sqlite(path);
  try {
    // As one file, which nothing beside it belongs to.
    db.pragma("journal_mode = DELETE");
    // Every page and row. The full check also looks each row up in each index, which at 10,000,000
    // sessions took five times as long as the copy.
    const result = db.pragma("quick_check", { simple: true });
    if (result !== "ok") {
      throw new LatchkeyError("unavailable", `the backup failed its check: ${result}`);
    }
  } finally {
    db.close();
  }
}
