import type { Database } from "better-sqlite3";

/** What one checkpoint may take, about, in milliseconds: as long do other writes wait for it. */
const HOLD_TIME = 20;

/** Pages of the log that one copies: at least, at first, and at most. */
const MIN_PAGES = 64;
const FIRST_PAGES = 1_000;
/** 16 MiB. To copy them in smaller pieces writes pages that change again more often. */
const MAX_PAGES = 4_000;

/** State of the log, in pages. */
interface Log {
  readonly log: number;
  /** Of these, in the database. */
  readonly checkpointed: number;
}

export interface CheckpointOptions {
  /** What alone writes to the database. */
  readonly db: Database;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  readonly maxPages?: number;
}

/**
 * Copies the log into the database after so many pages as take HOLD_TIME: a few hundred in a file
 * of 10,000,000 sessions, where each page is written apart, thousands in a small one. SQLite itself
 * counts pages only: p99 of creates was 71 ms there, and is 26 (`bench -- scale`).
 */
export function createCheckpoints({ db, clock, maxPages = MAX_PAGES }: CheckpointOptions) {
  db.pragma("wal_autocheckpoint = 0");
  // NOOP only measures.
  const measure = db.prepare<[], Log>("PRAGMA wal_checkpoint(NOOP)");
  const copy = db.prepare<[], Log>("PRAGMA wal_checkpoint(PASSIVE)");
  let pages = Math.min(FIRST_PAGES, maxPages);

  const adapt = (copied: number, took: number) => {
    const wanted = (copied * HOLD_TIME) / Math.max(took, 0.1);
    pages = Math.min(maxPages, Math.max(MIN_PAGES, (pages + wanted) / 2));
  };

  return {
    /** To be called after each transaction. Fails never: what is not copied stays in the log. */
    afterCommit(): void {
      try {
        const before = measure.get();
        if (!before || before.log - before.checkpointed < pages) return;
        const start = clock();
        const after = copy.get();
        // A reader of the log, such as a backup, lets it be copied in part only.
        if (!after || after.checkpointed < after.log) return;
        adapt(after.checkpointed - before.checkpointed, clock() - start);
      } catch {
        // The log has all of it, and the next checkpoint writes it again.
      }
    },
  };
}
