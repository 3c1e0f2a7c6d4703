import type { EndReason } from "../../../domain/sessions/end-reason.js";
import type { Transaction } from "../commit/commit-queue.js";
import type { BulkEndScope, StoredBulkEnd } from "../tables/bulk-ends.js";
import { type TableReads, tableWrites } from "../tables/tables.js";

/** A scope whose sessions are dead, and whose rows are removed little by little. */
export interface BulkEnd extends StoredBulkEnd {
  /** Of the rows removed so far, how many lived at the instant. */
  ended: number;
  /** Whether a call removes its rows, so that the sweep need not. */
  isDriven: boolean;
}

/** What tells a session's place among the ends. */
interface Place {
  readonly app: string;
  readonly userId: string;
  readonly row: number;
}

export function reasonOf({ userId }: BulkEndScope): EndReason {
  return userId === null ? "app" : "user";
}

/**
 * The ends of many sessions whose rows are not all removed. One row in the file ends them all,
 * so that no crash leaves some of them alive.
 */
export function createBulkEnds(tables: Pick<TableReads, "bulkEnds">) {
  /** By app, in the order of their instants. */
  const ends = new Map<string, BulkEnd[]>();
  let nextId = 1;

  const insert = (end: BulkEnd) => {
    nextId = Math.max(nextId, end.id + 1);
    ends.set(end.app, [...(ends.get(end.app) ?? []), end]);
  };
  const remove = (end: BulkEnd) => {
    const left = ends.get(end.app)?.filter((one) => one !== end) ?? [];
    if (left.length > 0) ends.set(end.app, left);
    else ends.delete(end.app);
  };
  for (const one of tables.bulkEnds()) insert({ ...one, ended: 0, isDriven: false });

  return {
    /** The first end that the session is part of, if it is of any: it is dead then. */
    of({ app, userId, row }: Place): BulkEnd | undefined {
      if (ends.size === 0) return undefined;
      return ends
        .get(app)
        ?.find(
          (end) =>
            row < end.before && row !== end.keep && (end.userId === null || end.userId === userId),
        );
    },

    /** All of the app's rows numbered below this are dead. */
    floor: (app: string): number =>
      Math.max(
        0,
        ...(ends.get(app) ?? []).map(({ userId, before }) => (userId === null ? before : 0)),
      ),

    /** The transaction ends the sessions of the scope, at once. */
    begin(transaction: Transaction, scope: BulkEndScope): BulkEnd {
      const end: BulkEnd = { ...scope, id: nextId, ended: 0, isDriven: true };
      insert(end);
      transaction.add(tableWrites.beginBulkEnd(end));
      transaction.onRollback(() => remove(end));
      return end;
    },

    /** The transaction removes the last of its rows. */
    finish(transaction: Transaction, end: BulkEnd): void {
      transaction.add(tableWrites.finishBulkEnd(end.id));
      // Not before: until then the rows are in the file.
      transaction.onCommit(() => remove(end));
    },

    /** One whose rows no call removes. */
    left(): BulkEnd | undefined {
      for (const ofApp of ends.values()) {
        const end = ofApp.find(({ isDriven }) => !isDriven);
        if (end) return end;
      }
      return undefined;
    },
  };
}
export type BulkEnds = ReturnType<typeof createBulkEnds>;
