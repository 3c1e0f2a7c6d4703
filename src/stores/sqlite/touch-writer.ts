import type { CommitQueue, Reads, Transaction } from "./commit-queue.js";
import { rowWrites } from "./row-writes.js";
import type { Entry, WorkingSet } from "./working-set.js";

/** Touches reach the file this long (ms) after the first of them: within the second promised. */
const DELAY = 500;

/** Touches that one transaction writes before others run. */
const SLICE = 500;

export interface TouchWriterOptions {
  readonly commits: CommitQueue;
  readonly memory: Pick<WorkingSet, "settle" | "touchedEntries" | "hasTouched">;
  /** The transaction writes touches of the entry. */
  readonly onWrite: (transaction: Transaction, entry: Entry) => void;
}

/** Writes touches, which change memory only, to the file: together, and a while later. */
export function createTouchWriter({ commits, memory, onWrite }: TouchWriterOptions) {
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  /** Writes the touches of `entries` that the file does not have, in slices. */
  const write = async (reads: Reads, entries: readonly Entry[]) => {
    for (let from = 0; from < entries.length; from += SLICE) {
      await commits.run(reads, (transaction) => {
        for (const entry of entries.slice(from, from + SLICE)) {
          // Ended or rewritten since: its row may not be touched.
          if (!memory.settle(transaction, entry)) continue;
          transaction.add(rowWrites.touch(entry.row, entry.session));
          onWrite(transaction, entry);
        }
      });
    }
  };

  const schedule = () => {
    if (isStopped) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      // A failure is reported where commits fail; what was not written is tried again.
      write("memory", memory.touchedEntries()).catch(() => {
        if (memory.hasTouched()) schedule();
      });
    }, DELAY);
  };

  return {
    /** There is a touch that the file does not have. */
    schedule,

    /** Resolves when the file has every touch answered before the call. */
    async writeAll() {
      let entries: readonly Entry[] = [];
      // Writes under way may have taken touches with them, and give them back if they fail:
      // so this waits until none is.
      await commits.run("rows", () => {
        entries = memory.touchedEntries();
      });
      await write("rows", entries);
    },

    /** Nothing is written from here on but by `writeAll`. */
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}
