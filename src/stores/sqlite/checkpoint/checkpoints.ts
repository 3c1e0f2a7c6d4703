import { statSync } from "node:fs";
import type { Database } from "better-sqlite3";
import { KEPT_WAL_BYTES } from "../file/connection.js";
import { isSyncFailure } from "../file/failure.js";
import type { Checkpointer } from "./client.js";

/** What one copy may take, about, in milliseconds: as long the disk is not the log's alone. */
const COPY_TIME = 20;

/** Pages of the log at which it is copied: at least, at first, and at most. */
const MIN_PAGES = 128;
const FIRST_PAGES = 1_000;
/** 16 MiB. To copy them more often writes pages that change again more often. */
const MAX_PAGES = 4_000;

/** Pages that the writer copies itself, a few milliseconds of its work. */
const LAST_PAGES = 64;

/** What is cut off the log's file at a time, at most: the first commit of a new log waits for the
 * cut, 0.9 s for the 2.7 GB that the log of a backup took. */
const CUT_BYTES = 16 * 2 ** 20;

/** State of the log, in pages. */
interface Log {
  readonly log: number;
  /** Of these, in the database. */
  readonly checkpointed: number;
}

export interface CheckpointOptions {
  /** What alone writes to the database. */
  readonly db: Database;
  readonly checkpointer: Checkpointer;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** The most pages of the log at which it is copied. */
  readonly maxPages?: number | undefined;
  /** Told when a sync failed: the log alone has all, and SQLite believes that the database has. */
  readonly onSyncFailure: (error: Error) => void;
}

/**
 * Has the log copied into the database whenever it has grown by so many pages. Beside the writer,
 * while it goes on, all but what it wrote meanwhile; that again, and so on; the last pages by the
 * writer itself, because the log can only begin anew when the database has all of it. To copy all
 * in one go held other writes for 5 to 12 ms seven times a second under creates alone, and for a
 * second and more after a backup.
 */
export function createCheckpoints(options: CheckpointOptions) {
  const { db, checkpointer, clock, maxPages = MAX_PAGES, onSyncFailure } = options;
  db.pragma("wal_autocheckpoint = 0");
  // NOOP only measures.
  const measure = db.prepare<[], Log>("PRAGMA wal_checkpoint(NOOP)");
  const copy = db.prepare<[], Log>("PRAGMA wal_checkpoint(PASSIVE)");
  const pagesLeft = () => {
    try {
      const state = measure.get();
      return state ? state.log - state.checkpointed : 0;
    } catch {
      // To be measured after the next transaction.
      return 0;
    }
  };
  let pages = Math.min(FIRST_PAGES, maxPages);
  let due = pages;
  let underWay: Promise<void> | undefined;

  /** To be called before a log begins anew. */
  const limitCut = () => {
    const { size } = statSync(`${db.name}-wal`, { throwIfNoEntry: false }) ?? { size: 0 };
    db.pragma(`journal_size_limit = ${Math.max(KEPT_WAL_BYTES, size - CUT_BYTES)}`);
  };
  limitCut();

  const adapt = (copied: number, took: number) => {
    const wanted = (copied * COPY_TIME) / Math.max(took, 0.1);
    pages = Math.min(maxPages, Math.max(MIN_PAGES, (pages + wanted) / 2));
  };

  const copyAll = async () => {
    let left = pagesLeft();
    for (let before = Number.POSITIVE_INFINITY; left > LAST_PAGES && left < before / 2; ) {
      before = left;
      const start = clock();
      await checkpointer.copy();
      left = pagesLeft();
      // Else a reader of the log, such as a backup, let it be copied in part only.
      if (left < before / 2) adapt(before, clock() - start);
    }
    limitCut();
    copy.get();
  };

  const run = async () => {
    try {
      await copyAll();
    } catch (error) {
      // What could not be written or read stays in the log, and the next checkpoint copies it.
      if (isSyncFailure(error)) {
        // SQLite takes the pages for copied, and would begin the log anew before they are again.
        due = Number.POSITIVE_INFINITY;
        onSyncFailure(error);
        return;
      }
    }
    due = pagesLeft() + pages;
  };

  return {
    /** To be called after each transaction. Fails never. */
    afterCommit(): void {
      if (underWay || pagesLeft() < due) return;
      underWay = run().finally(() => {
        underWay = undefined;
      });
    },

    /** Ends what is under way. */
    async close(): Promise<void> {
      await underWay;
      await checkpointer.close();
    },
  };
}
