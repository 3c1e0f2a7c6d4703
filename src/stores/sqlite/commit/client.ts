import type { CheckpointThreadData } from "../checkpoint/client.js";
import { endThread, startThread } from "../threads/database-thread.js";
import { brokenBy, type Failure, fromFailure } from "../threads/failure.js";
import type { Batch, Writer, WriterOptions } from "./writer.js";

/** What the thread is started with. */
export interface WriterThreadData extends CheckpointThreadData {
  /** The most pages of the log at which it is copied. */
  readonly maxPages?: number | undefined;
}

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

export interface ThreadWriterOptions
  extends Omit<WriterOptions, "clock">,
    Pick<WriterThreadData, "maxPages"> {}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * A writer in a thread of its own: neither SQL nor the disk, nor copying the log
 * into the database, ever holds the event loop. A thread that dies, by a checkpoint whose
 * sync failed or by anything else, fails what it had and all that follows as a broken disk does.
 */
export function openThreadWriter(options: ThreadWriterOptions): Writer {
  const { path, file, maxPages, committed, onBroken } = options;
  const data: WriterThreadData = { path, file, maxPages };
  const thread = startThread("#writer-thread", data);
  let waiting: Waiting[] = [];
  let epoch = 0;
  let isEnding = false;
  let death: Failure | undefined;

  const failAll = (failure: Failure) => {
    const error = fromFailure(failure);
    const failed = waiting;
    waiting = [];
    epoch++;
    for (const { reject } of failed) reject(error);
  };
  const die = (cause: unknown) => {
    if (death) return;
    death = brokenBy(cause);
    failAll(death);
    onBroken(fromFailure(death));
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
  thread.on("exit", (status) => {
    if (isEnding) death ??= brokenBy("it is closed");
    else die(`its thread ended with ${status}`);
  });

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
      isEnding = true;
      await endThread(thread);
    },
  };
}
