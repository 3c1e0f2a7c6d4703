// The thread of `openThreadWriter`: carries out the batches that it is sent, all
// that wait in one transaction, and answers how it went.
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { createCheckpoints } from "../checkpoint/checkpoints.js";
import { openCheckpointer } from "../checkpoint/client.js";
import { openConnection } from "../file/connection.js";
import { type Failure, toFailure } from "../threads/failure.js";
import type { Answer, Message, WriterThreadData } from "./client.js";
import { type Batch, createCommitter } from "./writer.js";

/** The most row writes that share a transaction; bounds how long the last of them waits. */
const MAX_WRITES = 512;

const port = parentPort;
if (!port) throw new Error("this is the entry of a thread");

const { maxPages, ...data } = workerData as WriterThreadData;
const db = openConnection(data.path);
const commit = createCommitter(db);
const checkpoints = createCheckpoints({
  db,
  checkpointer: openCheckpointer(data),
  clock: () => performance.now(),
  maxPages,
  onSyncFailure(error) {
    // The thread ends by it: another commit might begin the log anew, which alone has all.
    throw error;
  },
});
let epoch = 0;

const carryOut = (batches: readonly Batch[]): Failure | null => {
  try {
    commit(batches);
    return null;
  } catch (error) {
    epoch++;
    return toFailure(error);
  }
};

const handle = (messages: readonly Message[]) => {
  // Those of an earlier epoch were sent before their sender knew of a failure.
  const batches = messages.filter((one) => one.epoch === epoch).map(({ batch }) => batch);
  if (batches.length === 0) return;
  const start = performance.now();
  const failure = carryOut(batches);
  const answer: Answer = {
    batches: batches.length,
    calls: batches.reduce((sum, { calls }) => sum + calls, 0),
    seconds: (performance.now() - start) / 1000,
    failure,
  };
  port.postMessage(answer);
  if (!failure) checkpoints.afterCommit();
};

const end = async () => {
  await checkpoints.close();
  db.close();
  port.close();
};

port.on("message", (first: Message | "end") => {
  const messages: Message[] = [];
  let size = 0;
  let next: Message | "end" | undefined = first;
  while (next !== undefined && next !== "end") {
    messages.push(next);
    size += next.batch.writes.length;
    next = size < MAX_WRITES ? receiveMessageOnPort(port)?.message : undefined;
  }
  handle(messages);
  if (next === "end") void end();
});
