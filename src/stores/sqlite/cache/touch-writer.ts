import type { CommitQueue, Reads, Transaction } from "../commit/commit-queue.js";
import { isDamageAnswer } from "../file/failure.js";
import { tableWrites } from "../tables/tables.js";
import type { Entry } from "./entry.js";
import type { WorkingSet } from "./working-set.js";

/**
 * The touches of so long (ms) are written during as long again: within the second promised, those
 * of one session as one.
 */
const PERIOD = 400;

/**
 * Touches in one transaction: as many as take between a half of BATCH_TIME (ms) and twice that,
 * which is a hundred times as many in a small file as in one of 10,000,000 sessions.
 */
const BATCH_TIME = 4;
const MIN_BATCH = 16;
const MAX_SLICE = 512;

export interface TouchWriterOptions {
  readonly commits: CommitQueue;
  readonly memory: Pick<WorkingSet, "take" | "touchedEntries" | "hasTouched" | "giveUp">;
  /** The transaction writes touches of the entry. */
  readonly onWrite: (transaction: Transaction, entry: Entry) => void;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
}

/** Writes touches, which change memory only, to the file: together, and a while later. */
export function createTouchWriter({ commits, memory, onWrite, clock }: TouchWriterOptions) {
  let timer: NodeJS.Timeout | undefined;
  let isRunning = false;
  let isStopped = false;
  let size = 4 * MIN_BATCH;

  /** Writes the touches of `entries` that the file does not have. */
  const write = (reads: Reads, entries: readonly Entry[]) =>
    commits.run(reads, (transaction) => {
      // Not those that ended or were rewritten since: their rows may not be touched.
      for (const entry of memory.take(transaction, entries)) {
        transaction.add(tableWrites.touch(entry.row, entry.reads, entry.lastAccessedAt));
        onWrite(transaction, entry);
      }
    });

  /** The same; touches of rows on damaged pages are given up, so that all others are written. */
  const writeAround = async (reads: Reads, entries: readonly Entry[]): Promise<void> => {
    try {
      await write(reads, entries);
    } catch (error) {
      if (!isDamageAnswer(error)) throw error;
      const half = Math.ceil(entries.length / 2);
      if (entries.length > 1) {
        await writeAround(reads, entries.slice(0, half));
        await writeAround(reads, entries.slice(half));
      } else {
        for (const entry of entries) memory.giveUp(entry);
      }
    }
  };

  /** In the order of the rows, so that those of one page of the file are written with it once. */
  const takeTouched = () => memory.touchedEntries().sort((a, b) => a.row - b.row);

  /** Waits so long (ms); for ever if stopped. */
  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      if (!isStopped) timer = setTimeout(resolve, ms);
    });

  const run = async () => {
    await pause(PERIOD);
    while (memory.hasTouched()) {
      const entries = takeTouched();
      for (let from = 0; from < entries.length; ) {
        const batch = entries.slice(from, from + size);
        from += size;
        const rest = pause((PERIOD * batch.length) / entries.length);
        const start = clock();
        // A failure is reported where commits fail; what was not written is tried again.
        await writeAround("memory", batch).catch(() => {});
        const took = clock() - start;
        if (took > 2 * BATCH_TIME) size = Math.max(MIN_BATCH, size / 2);
        else if (took < BATCH_TIME / 2 && batch.length === size) {
          size = Math.min(MAX_SLICE, size * 2);
        }
        await rest;
      }
    }
    isRunning = false;
  };

  return {
    /** There is a touch that the file does not have. */
    schedule() {
      if (isRunning || isStopped) return;
      isRunning = true;
      void run();
    },

    /** Resolves when the file has every touch answered before the call. */
    async writeAll() {
      let entries: Entry[] = [];
      // Writes under way may have taken touches with them, and give them back if they fail:
      // so this waits until none is.
      await commits.run("rows", () => {
        entries = takeTouched();
      });
      for (let from = 0; from < entries.length; from += MAX_SLICE) {
        await writeAround("rows", entries.slice(from, from + MAX_SLICE));
      }
    },

    /** Nothing is written from here on but by `writeAll`. */
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}
