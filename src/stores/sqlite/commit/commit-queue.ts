import type { RowWrite } from "../tables/tables.js";
import type { Writer } from "./writer.js";

/** The most calls that make up one batch; bounds how long they hold the event loop. */
const MAX_BATCH = 256;

/**
 * As many calls begin at once, so that the writer is at work while the event loop takes in the rest
 * of its turn: 3 to 10 % more creates a second (`npm run bench -- http-create`).
 */
const PROMPT_BATCH = 8;

/** What a write may ask of the transaction that it becomes part of. */
export interface Transaction {
  /** Adds what the transaction will write, and the size of a session's data in it. */
  add(write: RowWrite, dataBytes?: number): void;
  /** Runs `undo` if the write or its transaction fails, the last registered first. */
  onRollback(undo: () => void): void;
  /** Runs `done` once the transaction is on disk, before any other write and any answer. */
  onCommit(done: () => void): void;
}

/**
 * Changes memory, and says what to write. What it throws fails it alone. It may
 * run again if its transaction fails because of another.
 */
export type Write<T> = (transaction: Transaction) => T;

/**
 * Where a write looks to decide: `rows` if it must find in the file all that was
 * written before it, so that it can only begin when that is committed.
 */
export type Reads = "memory" | "rows";

/** Runs a write soon; settles after what it wrote is on disk, never before. */
export type RunWrite = <T>(reads: Reads, write: Write<T>) => Promise<T>;

export interface CommitQueue {
  readonly run: RunWrite;
  /** How many writes have begun and not settled. */
  waiting(): number;
  /** Bytes of sessions' data that wait for the disk. */
  waitingBytes(): number;
  /** Milliseconds that the oldest write has waited; 0 if none waits. */
  longestWait(): number;
  /** How many batches have been carried out. */
  committed(): number;
}

export interface CommitQueueOptions {
  readonly writer: Pick<Writer, "commit">;
  /** Runs after the writes of each batch, before it is committed. */
  readonly beforeCommit: (transaction: Transaction) => void;
  /** What a caller is told of an error. */
  readonly translate: (error: unknown) => Error;
  /** Whether an error may be the fault of one write among those that failed. */
  readonly isOwnFault: (error: unknown) => boolean;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
}

interface Queued {
  readonly reads: Reads;
  /** When it began to wait. */
  readonly since: number;
  readonly write: Write<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** It failed together with others and is tried again, alone. */
  isAlone: boolean;
}

/** Calls whose changes are in memory and on their way to the disk. */
interface Batch {
  readonly queued: readonly Queued[];
  readonly undos: (() => void)[];
  readonly dones: (() => void)[];
  readonly settlements: (() => void)[];
  readonly writes: RowWrite[];
  readonly transaction: Transaction;
  readonly dataBytes: () => number;
}

function createBatch(queued: readonly Queued[]): Batch {
  const undos: (() => void)[] = [];
  const dones: (() => void)[] = [];
  const settlements: (() => void)[] = [];
  const writes: RowWrite[] = [];
  let bytes = 0;
  const transaction: Transaction = {
    add(write, dataBytes = 0) {
      writes.push(write);
      bytes += dataBytes;
    },
    onRollback: (undo) => undos.push(undo),
    onCommit: (done) => dones.push(done),
  };
  const dataBytes = () => bytes;
  return { queued, undos, dones, settlements, writes, transaction, dataBytes };
}

/** Undoes in memory what the batch registered since it had `kept` undo steps. */
function undoTo({ undos }: Batch, kept: number): void {
  while (undos.length > kept) undos.pop()?.();
}

/** Changes memory by one write, or leaves it as it is. */
function attempt(
  batch: Batch,
  { write, resolve, reject }: Queued,
  translate: (error: unknown) => Error,
) {
  const { undos, dones, settlements, writes } = batch;
  const kept = [undos.length, dones.length, writes.length] as const;
  try {
    const value = write(batch.transaction);
    settlements.push(() => resolve(value));
  } catch (error) {
    undoTo(batch, kept[0]);
    dones.length = kept[1];
    writes.length = kept[2];
    settlements.push(() => reject(translate(error)));
  }
}

/**
 * Group commit: calls share a transaction and one sync of the disk, which costs
 * more than all of them together. A few of one turn of the event loop make up a
 * batch, and the writer joins the batches that wait while it works. Memory is
 * ahead of the file by the batches under way; if one fails, it and all that
 * followed are undone and, where that may help, tried again one by one.
 */
export function createCommitQueue(options: CommitQueueOptions): CommitQueue {
  const { writer, beforeCommit, translate, isOwnFault, clock } = options;
  let queue: Queued[] = [];
  let underWay: Batch[] = [];
  let isScheduled = false;
  let waiting = 0;
  let waitingBytes = 0;
  let committed = 0;

  /** Takes the next batch off the queue, or nothing if it must wait. */
  const takeBatch = (): Queued[] => {
    const mustLead = ({ reads }: Queued) => reads === "rows";
    const [first] = queue;
    if (!first) return [];
    if (underWay.length > 0) {
      const isAlone = underWay[0]?.queued[0]?.isAlone;
      if (isAlone || mustLead(first)) return [];
    }
    const limit = first.isAlone ? 1 : MAX_BATCH;
    const end = queue.findIndex(
      (queued, index) => index > 0 && (index === limit || mustLead(queued)),
    );
    return queue.splice(0, end === -1 ? queue.length : end);
  };

  const undo = (error: unknown) => {
    const undone = underWay;
    underWay = [];
    for (const batch of undone.toReversed()) {
      undoTo(batch, 0);
      waitingBytes -= batch.dataBytes();
    }
    const failed = undone.flatMap(({ queued }) => queued);
    if (isOwnFault(error) && !failed[0]?.isAlone) {
      for (const queued of failed) queued.isAlone = true;
      queue = [...failed, ...queue];
    } else {
      const failure = translate(error);
      waiting -= failed.length;
      for (const { reject } of failed) reject(failure);
    }
  };

  const finish = (batch: Batch) => {
    underWay.shift();
    committed++;
    waiting -= batch.queued.length;
    waitingBytes -= batch.dataBytes();
    for (const done of batch.dones) done();
  };

  const commit = async (queued: readonly Queued[]) => {
    const batch = createBatch(queued);
    underWay.push(batch);
    try {
      for (const one of queued) attempt(batch, one, translate);
      waitingBytes += batch.dataBytes();
      beforeCommit(batch.transaction);
      // What writes nothing may still have seen what is not on disk yet.
      if (batch.writes.length > 0 || underWay.length > 1) {
        await writer.commit({ calls: queued.length, writes: batch.writes });
        if (underWay[0] !== batch) return;
        finish(batch);
        // So that the writer is at work while the callers are answered.
        flush();
      } else {
        finish(batch);
      }
      for (const settle of batch.settlements) settle();
    } catch (error) {
      // A batch that is not under way was undone together with one before it.
      if (underWay.includes(batch)) undo(error);
    }
    schedule();
  };

  const flush = () => {
    isScheduled = false;
    for (let next = takeBatch(); next.length > 0; next = takeBatch()) void commit(next);
  };

  const schedule = () => {
    if (isScheduled || queue.length === 0) return;
    isScheduled = true;
    setImmediate(flush);
  };

  return {
    run<T>(reads: Reads, write: Write<T>) {
      return new Promise<T>((resolve, reject) => {
        waiting++;
        const settled = resolve as (value: unknown) => void;
        queue.push({ reads, since: clock(), write, resolve: settled, reject, isAlone: false });
        if (queue.length >= PROMPT_BATCH) flush();
        else schedule();
      });
    },
    waiting: () => waiting,
    waitingBytes: () => waitingBytes,
    longestWait() {
      const oldest = underWay[0]?.queued[0] ?? queue[0];
      return oldest ? clock() - oldest.since : 0;
    },
    committed: () => committed,
  };
}
