import type { Database } from "better-sqlite3";
import { openConnection } from "../file/connection.js";
import { prepareRowWrites, type RowWrite } from "../tables/tables.js";

/** What alone writes to an open database. */
export interface Writer {
  /**
   * Carries out all of the writes in one transaction, or none; resolves when
   * they are on disk. Batches are carried out in the order of the calls, and may
   * share a transaction. When one fails, so do those that were passed since and
   * before its promise was rejected. Rejects with an `SqliteError`.
   */
  commit(batch: Batch): Promise<void>;
  /** Lets go of the database. Must not be called during a commit. */
  close(): Promise<void>;
}

/** Writes that are committed together. */
export interface Batch {
  /** How many calls these are the writes of. */
  readonly calls: number;
  readonly writes: readonly RowWrite[];
}

export interface WriterOptions {
  readonly path: string;
  /**
   * The database as an open file, to sync it by. It stays open as long as any connection of this
   * process to it: with any file, a process gives up the locks of all that it has of the same.
   */
  readonly file: number;
  /** Told of each transaction: of how many calls it is, and the seconds it took. */
  readonly committed: (calls: number, seconds: number) => void;
  /** Told once, if what was committed can no more be relied on, or nothing can be any more. */
  readonly onBroken: (error: Error) => void;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
}

/** Carries out transactions on a connection at once; throws an `SqliteError`. */
export function createCommitter(db: Database) {
  const run = prepareRowWrites(db);
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const rollback = db.prepare("ROLLBACK");
  return (batches: readonly Batch[]): void => {
    begin.run();
    try {
      for (const { writes } of batches) {
        for (const write of writes) run(write);
      }
      commit.run();
    } catch (error) {
      // SQLite ends the transaction itself when the disk fails or is full.
      if (db.inTransaction) rollback.run();
      throw error;
    }
  };
}

/** A writer that works in the caller's thread, which waits for the disk, also while SQLite copies
 * the log. */
export function openDirectWriter({ path, committed, clock }: WriterOptions): Writer {
  const db = openConnection(path);
  const commit = createCommitter(db);
  return {
    async commit(batch) {
      const start = clock();
      commit([batch]);
      committed(batch.calls, (clock() - start) / 1000);
    },
    async close() {
      db.close();
    },
  };
}
