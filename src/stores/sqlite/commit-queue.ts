import type { Database } from "better-sqlite3";
import type { StoreObserver } from "../../domain/session-store.js";

/** The most writes that share one transaction; bounds how long it holds the event loop. */
const MAX_BATCH = 256;

/** What a write may ask of the transaction that it runs in. */
export interface Transaction {
  /** Runs `undo` if the transaction fails, the last registered first. */
  onRollback(undo: () => void): void;
}

/** Runs synchronously inside the transaction. What it throws fails it alone: it
 * must throw before its first change, or make its changes in one statement. */
export type Write<T> = (transaction: Transaction) => T;

export interface CommitQueue {
  /** Runs `write` in the next transaction; settles after its commit, never before. */
  run<T>(write: Write<T>): Promise<T>;
}

interface Queued {
  readonly write: Write<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit: writes that arrive in one turn of the event loop share a
 * transaction and so one fsync, which costs more than all of them together.
 *
 * `beforeCommit` runs inside each transaction after its writes. If the
 * transaction itself fails, every write in it rejects with what `translate`
 * makes of the error.
 */
export function createCommitQueue(
  db: Database,
  observer: Pick<StoreObserver, "committed">,
  clock: () => number,
  beforeCommit: () => void,
  translate: (error: unknown) => Error,
): CommitQueue {
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const rollback = db.prepare("ROLLBACK");
  let queue: Queued[] = [];

  const settleAfterCommit = (batch: readonly Queued[]) => {
    const undos: (() => void)[] = [];
    const transaction: Transaction = { onRollback: (undo) => undos.push(undo) };
    const outcomes: (() => void)[] = [];
    try {
      begin.run();
      for (const { write, resolve, reject } of batch) {
        try {
          const value = write(transaction);
          outcomes.push(() => resolve(value));
        } catch (error) {
          // SQLite ends the transaction itself when the disk fails or is full.
          if (!db.inTransaction) throw error;
          outcomes.push(() => reject(translate(error)));
        }
      }
      beforeCommit();
      commit.run();
    } catch (error) {
      for (const undo of undos.reverse()) undo();
      if (db.open && db.inTransaction) rollback.run();
      const failure = translate(error);
      for (const { reject } of batch) reject(failure);
      return;
    }
    for (const settle of outcomes) settle();
  };

  const flush = () => {
    const batch = queue.slice(0, MAX_BATCH);
    queue = queue.slice(MAX_BATCH);
    if (queue.length > 0) setImmediate(flush);
    const start = clock();
    settleAfterCommit(batch);
    observer.committed(batch.length, (clock() - start) / 1000);
  };

  return {
    run<T>(write: Write<T>) {
      return new Promise<T>((resolve, reject) => {
        queue.push({ write, resolve: resolve as (value: unknown) => void, reject });
        if (queue.length === 1) setImmediate(flush);
      });
    },
  };
}
