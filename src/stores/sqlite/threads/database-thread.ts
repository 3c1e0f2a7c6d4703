import { Worker } from "node:worker_threads";

/** What a thread is started with. */
export interface ThreadData {
  readonly path: string;
}

type ThreadName = "#writer-thread" | "#checkpoint-thread" | "#prefetch-thread";

/**
 * Starts a thread that has a connection of its own to the database. It is named as the
 * package names it to itself: the source may run as it is, but a thread can only run what is built,
 * and needs none of the loaders of this process.
 */
export function startThread(name: ThreadName, workerData: ThreadData): Worker {
  return new Worker(new URL(import.meta.resolve(name)), { workerData, execArgv: [] });
}

/** Tells a thread to do what it was sent and end; resolves when it has ended, in whatever way. */
export async function endThread(thread: Worker): Promise<void> {
  // One that ended has no number any more.
  if (thread.threadId === -1) return;
  // Not by `once` of node:events, which would reject if it fails on its way.
  const ended = new Promise((resolve) => thread.once("exit", resolve));
  thread.postMessage("end");
  await ended;
}
