import type { Database } from "better-sqlite3";
import type { StoreObserver } from "../../domain/session-store.js";

/** The most writes that share one transaction; bounds how long it holds the event loop. */
const MAX_BATCH = 256;

/** What a write may ask of the transaction that it runs in. */
export interface Transaction {
  /** Runs `undo` if the write or its transaction fails, the last registered first. */
  onRollback(undo: () => void): void;
}

/** Runs synchronously inside the transaction. What it throws fails it alone. */
export type Write<T> = (transaction: Transaction) => T;

/** `many` if the write may have changed something when it throws: it gets a savepoint. */
export type Statements = "one" | "many";

export interface CommitQueue {
  /** Runs `write` in the next transaction; settles after that is on disk, never before. */
  run<T>(statements: Statements, write: Write<T>): Promise<T>;
}

export interface CommitQueueOptions {
  readonly db: Database;
  readonly observer: Pick<StoreObserver, "committed">;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Runs inside each transaction after its writes. */
  readonly beforeCommit: (transaction: Transaction) => void;
  /** Resolves when everything committed so far is on disk. */
  readonly sync: () => Promise<void>;
  /** What a caller is told of an error; every write is refused with it if the transaction fails. */
  readonly translate: (error: unknown) => Error;
}

interface Queued {
  readonly statements: Statements;
  readonly write: Write<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit: writes share a transaction and one sync of the disk, which costs
 * more than all of them together. Those that arrive while a sync is under way,
 * off the event loop, make up the next transaction.
 */
export function createCommitQueue(options: CommitQueueOptions): CommitQueue {
  const { db, observer, clock, beforeCommit, sync, translate } = options;
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const rollback = db.prepare("ROLLBACK");
  const savepoint = db.prepare("SAVEPOINT write");
  const release = db.prepare("RELEASE write");
  const rollbackTo = db.prepare("ROLLBACK TO write");
  const undos: (() => void)[] = [];
  const transaction: Transaction = { onRollback: (undo) => undos.push(undo) };
  let queue: Queued[] = [];
  let isBusy = false;

  /** Undoes in memory what was registered since there were `kept` undo steps. */
  const undoTo = (kept: number) => {
    while (undos.length > kept) undos.pop()?.();
  };

  /** Runs one write; answers how to settle it once the transaction is committed. */
  const attempt = ({ statements, write, resolve, reject }: Queued): (() => void) => {
    const kept = undos.length;
    const isMany = statements === "many";
    if (isMany) savepoint.run();
    try {
      const value = write(transaction);
      if (isMany) release.run();
      return () => resolve(value);
    } catch (error) {
      // SQLite ends the transaction itself when the disk fails or is full.
      if (!db.inTransaction) throw error;
      if (isMany) {
        rollbackTo.run();
        release.run();
      }
      undoTo(kept);
      return () => reject(translate(error));
    }
  };

  const endTransaction = () => {
    try {
      if (db.open && db.inTransaction) rollback.run();
    } catch (error) {
      translate(error);
    }
  };

  /** Runs a batch in one transaction; answers how to settle its writes. */
  const commitBatch = (batch: readonly Queued[]): (() => void)[] => {
    try {
      begin.run();
      const settlements = batch.map(attempt);
      beforeCommit(transaction);
      commit.run();
      undos.length = 0;
      return settlements;
    } catch (error) {
      undoTo(0);
      endTransaction();
      throw error;
    }
  };

  const flush = async () => {
    const batch = queue.slice(0, MAX_BATCH);
    queue = queue.slice(MAX_BATCH);
    const start = clock();
    try {
      const settlements = commitBatch(batch);
      await sync();
      for (const settle of settlements) settle();
      observer.committed(batch.length, (clock() - start) / 1000);
    } catch (error) {
      const failure = translate(error);
      for (const { reject } of batch) reject(failure);
    }
    if (queue.length > 0) setImmediate(flush);
    else isBusy = false;
  };

  return {
    run<T>(statements: Statements, write: Write<T>) {
      return new Promise<T>((resolve, reject) => {
        const settled = resolve as (value: unknown) => void;
        queue.push({ statements, write, resolve: settled, reject });
        if (isBusy) return;
        isBusy = true;
        setImmediate(flush);
      });
    },
  };
}
