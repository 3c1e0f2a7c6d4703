import type { Transaction } from "../commit/commit-queue.js";
import type { TableReads } from "../tables/tables.js";
import { tableWrites } from "../tables/tables.js";

export type StoreTotals = ReturnType<typeof createTotals>;

/** How many sessions there are and which row comes next, which nothing has to read the table for. */
export function createTotals(tables: Pick<TableReads, "totals">) {
  let saved = tables.totals();
  let { sessions } = saved;
  let nextRow = saved.lastRow + 1;

  const count = (transaction: Transaction, by: number) => {
    sessions += by;
    transaction.onRollback(() => {
      sessions -= by;
    });
  };

  return {
    sessions: (): number => sessions,

    /** The number that the next session's row gets. */
    nextRow: (): number => nextRow,

    /** The transaction adds a session; answers its row's number, which is never given again. */
    added(transaction: Transaction): number {
      count(transaction, 1);
      return nextRow++;
    },

    /** The transaction removes sessions. */
    removed: (transaction: Transaction, sessions: number): void => count(transaction, -sessions),

    /** Ends a batch of writes: what it counted is written with it. */
    seal(transaction: Transaction): void {
      const before = saved;
      if (sessions === before.sessions && nextRow === before.lastRow + 1) return;
      saved = { sessions, lastRow: nextRow - 1 };
      transaction.onRollback(() => {
        saved = before;
      });
      transaction.add(tableWrites.totals(saved));
    },
  };
}
