import type { Database } from "better-sqlite3";

/** Milliseconds until notes are written, and between two attempts while others write. */
const PAUSE = 20;

interface Note {
  readonly at: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export interface KeyUsesOptions {
  readonly db: Database;
  /** Whether an error means that another process or thread writes now. */
  readonly isBusy: (error: unknown) => boolean;
}

/**
 * Notes when keys were used last, a while later and together. It never waits: not for others that
 * write, and not for the disk, for nobody is answered by a note. The next sync of the log covers it.
 */
export function createKeyUses({ db, isBusy }: KeyUsesOptions) {
  const use = db.prepare<[number, number]>("UPDATE api_keys SET last_used_at = ? WHERE id = ?");
  const timeout = db.pragma("busy_timeout", { simple: true });
  let notes = new Map<number, Note[]>();
  let timer: NodeJS.Timeout | undefined;

  const writeAll = db.transaction(() => {
    for (const [keyId, ofKey] of notes) use.run(Math.max(...ofKey.map(({ at }) => at)), keyId);
  });

  const settle = (settleOne: (note: Note) => void) => {
    const settled = notes;
    notes = new Map();
    for (const ofKey of settled.values()) for (const note of ofKey) settleOne(note);
  };

  const flush = () => {
    timer = undefined;
    try {
      db.pragma("busy_timeout = 0");
      db.pragma("synchronous = NORMAL");
      try {
        writeAll.immediate();
      } finally {
        db.pragma("synchronous = FULL");
        db.pragma(`busy_timeout = ${timeout}`);
      }
    } catch (error) {
      if (isBusy(error)) schedule();
      else settle(({ reject }) => reject(error));
      return;
    }
    settle(({ resolve }) => resolve());
  };

  const schedule = () => {
    timer ??= setTimeout(flush, PAUSE);
  };

  return {
    /** Resolves when the note is in the file, and soon on disk. */
    note: (keyId: number, at: number) =>
      new Promise<void>((resolve, reject) => {
        notes.set(keyId, [...(notes.get(keyId) ?? []), { at, resolve, reject }]);
        schedule();
      }),

    /** Writes what waits, unless others write just now: a note is no reason to hold up a stop. */
    close(): void {
      if (timer === undefined) return;
      clearTimeout(timer);
      flush();
      clearTimeout(timer);
      settle(({ resolve }) => resolve());
    },
  };
}
