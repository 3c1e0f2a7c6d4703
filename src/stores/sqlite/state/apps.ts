import { checkApps, type Quotas } from "../../../domain/sessions/quotas.js";
import type { Transaction } from "../commit/commit-queue.js";
import type { TableReads } from "../tables/tables.js";
import { tableWrites } from "../tables/tables.js";

export type Apps = ReturnType<typeof createApps>;

/** The numbers that the tables know apps by. */
export function createApps(
  tables: Pick<TableReads, "app" | "lastApp" | "appUsages">,
  quotas: Quotas,
) {
  const ids = new Map<string, number>();
  let count = tables.appUsages().length;
  let next = tables.lastApp() + 1;

  /** Null if the app never had a session and was never watched. */
  const idOf = (app: string): number | null => {
    const known = ids.get(app);
    if (known !== undefined) return known;
    const id = tables.app(app);
    if (id !== null) ids.set(app, id);
    return id;
  };

  return {
    idOf,

    /** The app's number; if it has none, the transaction gives it one. Throws `limit` if there are
     * as many as may be. */
    add(transaction: Transaction, app: string): number {
      const known = idOf(app);
      if (known !== null) return known;
      checkApps(app, count, quotas);
      const id = next++;
      count++;
      transaction.add(tableWrites.insertApp(id, app));
      ids.set(app, id);
      transaction.onRollback(() => {
        count--;
        ids.delete(app);
      });
      return id;
    },
  };
}
