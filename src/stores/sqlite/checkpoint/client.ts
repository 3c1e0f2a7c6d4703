import type { Worker } from "node:worker_threads";
import { endThread, startThread, type ThreadData } from "../threads/database-thread.js";
import { type Failure, fromFailure, notCopiedBy, unsyncedBy } from "../threads/failure.js";

/** What the thread is started with. */
export interface CheckpointThreadData extends ThreadData {
  /** The database as an open file, to sync it by. */
  readonly file: number;
}

/** Copies the log into the database while the writer is at work. */
export interface Checkpointer {
  /**
   * Copies what the log has, as far as no reader needs it there, and syncs the database. Rejects
   * with an `SqliteError` if that may not be on disk; what was not copied is no error. One at a time.
   */
  copy(): Promise<void>;
  /** Must not be called while it copies. */
  close(): Promise<void>;
}

/** What the thread tells first, when it has opened all that it needs. */
export const READY = "ready";

/**
 * A checkpointer in a thread of its own, which starts at once: later, the process may have as many
 * open files as it may. One that cannot start is started again with the next copy. SQLite itself syncs the
 * database only when it has all of the log, which a writer at work makes longer all the time.
 */
export function openCheckpointer(data: CheckpointThreadData): Checkpointer {
  let thread: Worker | undefined;
  let death: Failure | undefined;
  let settle: (failure: Failure | null) => void = () => undefined;

  const start = () => {
    const started = startThread("#checkpoint-thread", data);
    let isReady = false;
    const leave = (cause: unknown) => {
      if (isReady) {
        death ??= unsyncedBy(cause);
        settle(death);
      } else if (thread === started) {
        // It copied nothing: the log has all, and is copied later.
        thread = undefined;
        settle(notCopiedBy(cause));
      }
    };
    started.on("message", (told: typeof READY | Failure | null) => {
      if (told === READY) isReady = true;
      else settle(told);
    });
    started.on("error", leave);
    started.on("exit", (status) => leave(`its thread ended with ${status}`));
    return started;
  };
  thread = start();

  return {
    copy: () =>
      new Promise((resolve, reject) => {
        settle = (failure) => (failure ? reject(fromFailure(failure)) : resolve());
        thread ??= start();
        // One that ended while it had nothing to do answers no more.
        if (death) settle(death);
        else thread.postMessage("copy");
      }),
    async close() {
      if (thread) await endThread(thread);
    },
  };
}
