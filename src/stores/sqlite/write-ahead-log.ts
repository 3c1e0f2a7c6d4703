import { closeSync, fdatasync, fsyncSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";

export interface WriteAheadLog {
  /** Resolves when all that was written to the log before is on disk. */
  readonly sync: () => Promise<void>;
  /** Bytes. */
  readonly size: () => number;
  readonly close: () => void;
}

/** Thrown when the disk could not keep what it was given; nobody knows what it kept. */
export class SyncError extends Error {}

/**
 * The write-ahead log of the open database at `path`, to be synced off the event
 * loop: with `synchronous = FULL` SQLite would do the same sync at each commit,
 * on it. The log must exist; SQLite keeps the file for as long as the database is
 * open, and syncs it by itself before it copies from it into the database.
 */
export function openWriteAheadLog(path: string): WriteAheadLog {
  // SQLite holds no locks on this file, so to close it takes none away.
  const file = openSync(`${path}-wal`, "r+");
  const folder = openSync(dirname(path), "r");
  try {
    // A log that was just made must be found again after a power cut.
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
  return {
    sync: () =>
      new Promise((resolve, reject) => {
        fdatasync(file, (error) => {
          if (error)
            reject(new SyncError("the write-ahead log could not be synced", { cause: error }));
          else resolve();
        });
      }),
    size: () => statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0,
    close: () => closeSync(file),
  };
}
