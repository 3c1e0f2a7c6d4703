import type { CommitQueue, Reads, Transaction } from "./commit-queue.js";
import { rowWrites } from "./row-writes.js";
import type { Entry, WorkingSet } from "./working-set.js";

/**
 * The touches of so long (ms) are written during as long again: within the second promised, those
 * of one session as one.
 */
const PERIOD = 400;

/** The most transactions that the touches of a period are spread over, so that none is long, */
const MAX_SLICES = 100;
/** and the fewest touches in one, some milliseconds' work in a file of 10,000,000 sessions. */
const MIN_SLICE = 64;

/** Touches in one transaction when all are to be written soon. */
const LARGE_SLICE = 500;

export interface TouchWriterOptions {
  readonly commits: CommitQueue;
  readonly memory: Pick<WorkingSet, "settle" | "touchedEntries" | "hasTouched">;
  /** The transaction writes touches of the entry. */
  readonly onWrite: (transaction: Transaction, entry: Entry) => void;
}

/** Writes touches, which change memory only, to the file: together, and a while later. */
export function createTouchWriter({ commits, memory, onWrite }: TouchWriterOptions) {
  let timer: NodeJS.Timeout | undefined;
  let isRunning = false;
  let isStopped = false;

  /** Writes the touches of `entries` that the file does not have. */
  const write = (reads: Reads, entries: readonly Entry[]) =>
    commits.run(reads, (transaction) => {
      for (const entry of entries) {
        // Ended or rewritten since: its row may not be touched.
        if (!memory.settle(transaction, entry)) continue;
        transaction.add(rowWrites.touch(entry.row, entry.session));
        onWrite(transaction, entry);
      }
    });

  /** In the order of the rows, so that those of one page of the file are written with it once. */
  const slicesOf = (entries: Entry[], size: number): Entry[][] => {
    entries.sort((a, b) => a.row - b.row);
    const slices: Entry[][] = [];
    for (let from = 0; from < entries.length; from += size) {
      slices.push(entries.slice(from, from + size));
    }
    return slices;
  };

  /** Waits so long (ms); for ever if stopped. */
  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      if (!isStopped) timer = setTimeout(resolve, ms);
    });

  const run = async () => {
    await pause(PERIOD);
    while (memory.hasTouched()) {
      const entries = memory.touchedEntries();
      const size = Math.max(MIN_SLICE, Math.ceil(entries.length / MAX_SLICES));
      const slices = slicesOf(entries, size);
      for (const slice of slices) {
        const rest = pause(PERIOD / slices.length);
        // A failure is reported where commits fail; what was not written is tried again.
        await write("memory", slice).catch(() => {});
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
        entries = memory.touchedEntries();
      });
      for (const slice of slicesOf(entries, LARGE_SLICE)) await write("rows", slice);
    },

    /** Nothing is written from here on but by `writeAll`. */
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}
