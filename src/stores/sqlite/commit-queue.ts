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
  /** Runs `write` in the next transaction; settles after its commit, never before. */
  run<T>(statements: Statements, write: Write<T>): Promise<T>;
}

export interface CommitQueueOptions {
  readonly db: Database;
  readonly observer: Pick<StoreObserver, "committed">;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Runs inside each transaction after its writes. */
  readonly beforeCommit: (transaction: Transaction) => void;
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
 * Group commit: writes that arrive in one turn of the event loop share a
 * transaction and so one fsync, which costs more than all of them together.
 */
export function createCommitQueue(options: CommitQueueOptions): CommitQueue {
  const { db, observer, clock, beforeCommit, translate } = options;
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const rollback = db.prepare("ROLLBACK");
  const savepoint = db.prepare("SAVEPOINT write");
  const release = db.prepare("RELEASE write");
  const rollbackTo = db.prepare("ROLLBACK TO write");
  const undos: (() => void)[] = [];
  const transaction: Transaction = { onRollback: (undo) => undos.push(undo) };
  let queue: Queued[] = [];

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

  const flush = () => {
    const batch = queue.slice(0, MAX_BATCH);
    queue = queue.slice(MAX_BATCH);
    if (queue.length > 0) setImmediate(flush);
    const start = clock();
    const settlements: (() => void)[] = [];
    try {
      begin.run();
      for (const queued of batch) settlements.push(attempt(queued));
      beforeCommit(transaction);
      commit.run();
      undos.length = 0;
    } catch (error) {
      undoTo(0);
      const failure = translate(error);
      for (const { reject } of batch) reject(failure);
      endTransaction();
      return;
    }
    for (const settle of settlements) settle();
    observer.committed(batch.length, (clock() - start) / 1000);
  };

  return {
    run<T>(statements: Statements, write: Write<T>) {
      return new Promise<T>((resolve, reject) => {
        const settled = resolve as (value: unknown) => void;
        queue.push({ statements, write, resolve: settled, reject });
        if (queue.length === 1) setImmediate(flush);
      });
    },
  };
}
