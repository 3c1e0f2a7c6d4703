import { endThread, startThread } from "./database-thread.js";
import type { Batch, Failure, Writer, WriterOptions } from "./writer.js";
import { brokenBy, fromFailure } from "./writer.js";

/** What the thread is sent, beside `end`. The epoch is the number of failures known of. */
export interface Message {
  readonly epoch: number;
  readonly batch: Batch;
}

/** What the thread answers to the oldest batches of the present epoch. */
export interface Answer {
  readonly batches: number;
  /** Calls and seconds of their transaction. */
  readonly calls: number;
  readonly seconds: number;
  /** Why it was not carried out; whatever was sent meanwhile is not either. */
  readonly failure: Failure | null;
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * A writer in a thread of its own: neither SQL nor the disk, nor copying the log
 * into the database, ever holds the event loop. A thread that dies fails what
 * it had and all that follows as a broken disk does.
 */
export function openThreadWriter({ path, committed }: Omit<WriterOptions, "clock">): Writer {
  const thread = startThread("#writer-thread", path);
  let waiting: Waiting[] = [];
  let epoch = 0;
  let death: Failure | undefined;

  const failAll = (failure: Failure) => {
    const error = fromFailure(failure);
    const failed = waiting;
    waiting = [];
    epoch++;
    for (const { reject } of failed) reject(error);
  };
  const die = (cause: unknown) => {
    death ??= brokenBy(cause);
    failAll(death);
  };
  thread.on("message", ({ batches, calls, seconds, failure }: Answer) => {
    if (failure) {
      failAll(failure);
      return;
    }
    committed(calls, seconds);
    for (const { resolve } of waiting.splice(0, batches)) resolve();
  });
  thread.on("error", die);
  thread.on("exit", (status) => die(`its thread ended with ${status}`));

  return {
    commit: (batch) =>
      new Promise((resolve, reject) => {
        if (death) {
          reject(fromFailure(death));
          return;
        }
        waiting.push({ resolve, reject });
        const message: Message = { epoch, batch };
        thread.postMessage(message);
      }),
    async close() {
      if (!death) await endThread(thread);
    },
  };
}
