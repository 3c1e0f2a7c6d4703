import type { Worker } from "node:worker_threads";
import { endThread, startThread, type ThreadData } from "./database-thread.js";
import { type Failure, fromFailure, unsyncedBy } from "./thread-failure.js";

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

/**
 * A checkpointer in a thread of its own, which starts with the first copy. SQLite itself syncs the
 * database only when it has all of the log, which a writer at work makes longer all the time.
 */
export function openCheckpointer(data: CheckpointThreadData): Checkpointer {
  let thread: Worker | undefined;
  let death: Failure | undefined;
  let settle: (failure: Failure | null) => void = () => undefined;

  const start = () => {
    const started = startThread("#checkpoint-thread", data);
    const leave = (cause: unknown) => {
      death ??= unsyncedBy(cause);
      settle(death);
    };
    started.on("message", (failure: Failure | null) => settle(failure));
    started.on("error", leave);
    started.on("exit", (status) => leave(`its thread ended with ${status}`));
    return started;
  };

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
