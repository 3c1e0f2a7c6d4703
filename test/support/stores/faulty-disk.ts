import Sqlite from "better-sqlite3";
import {
  type Batch,
  openDirectWriter,
  type Writer,
  type WriterOptions,
} from "../../../src/stores/sqlite/commit/writer.js";

/** Codes of failures that leave the file as it was; the first may be one write's own fault. */
export const FAULTS = ["SQLITE_CONSTRAINT_CHECK", "SQLITE_BUSY", "SQLITE_FULL"] as const;

export type Fault = (typeof FAULTS)[number];

interface Item {
  readonly batch: Batch;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Transactions that are over, and of which the store does not know. */
interface Performed {
  readonly items: readonly Item[];
  readonly error: unknown;
}

/** Lets what is queued for the next turns of the event loop happen. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
}

/**
 * A writer over a real file that does and answers only what it is told, and fails
 * when told, as a writer in a thread may by the contract of `Writer`.
 */
export function createFaultyDisk() {
  let waiting: Item[] = [];
  const performed: Performed[] = [];
  let writer: Writer | undefined;
  let isCalm = false;
  let injected = 0;

  const disk = {
    openWriter(options: WriterOptions): Writer {
      const direct = openDirectWriter(options);
      writer = direct;
      return {
        close: direct.close,
        commit: (batch) =>
          isCalm
            ? direct.commit(batch)
            : new Promise((resolve, reject) => waiting.push({ batch, resolve, reject })),
      };
    },

    /** Carries out the oldest `count` batches in one transaction, or fails it. */
    async perform(count: number, fault: Fault | null): Promise<void> {
      // After a failure, all is refused that was passed before the store knows of it.
      if (waiting.length === 0 || performed.at(-1)?.error) return;
      const items = waiting.splice(0, count);
      if (fault) injected++;
      let error: unknown = fault && new Sqlite.SqliteError("injected", fault);
      if (!error) {
        const calls = items.reduce((sum, { batch }) => sum + batch.calls, 0);
        const writes = items.flatMap(({ batch }) => batch.writes);
        await writer?.commit({ calls, writes }).catch((cause: unknown) => {
          error = cause;
        });
      }
      performed.push({ items, error });
    },

    /** How many faults there were. */
    injected: () => injected,

    /** Tells the store how the oldest transaction went. */
    answer(): void {
      const done = performed.shift();
      if (!done) return;
      if (done.error) {
        const refused = [...done.items, ...waiting];
        waiting = [];
        for (const { reject } of refused) reject(done.error);
      } else {
        for (const { resolve } of done.items) resolve();
      }
    },

    /** Works until nothing is left to do, failing as often as there are `faults`. */
    async drain(faults: readonly (Fault | null)[] = []): Promise<void> {
      const left = [...faults];
      for (let idle = 0; idle < 4; idle++) {
        if (waiting.length > 0 || performed.length > 0) idle = 0;
        await disk.perform(2, left.shift() ?? null);
        disk.answer();
        await turns(2);
      }
    },

    /** Works without delay and faults from here on. */
    async calm(): Promise<void> {
      await disk.drain();
      isCalm = true;
    },
  };
  return disk;
}

export type FaultyDisk = ReturnType<typeof createFaultyDisk>;
