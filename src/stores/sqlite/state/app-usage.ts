import { type AppUsage, NO_USAGE } from "../../../domain/sessions/quotas.js";
import type { Transaction } from "../commit/commit-queue.js";
import type { TableReads } from "../tables/tables.js";
import { tableWrites } from "../tables/tables.js";
import type { Apps } from "./apps.js";

export type AppUsages = ReturnType<typeof createAppUsages>;

interface Counted {
  usage: AppUsage;
  /** What the file has of it, and will have by what is under way. */
  saved: AppUsage;
}

/** How much there is of each app, which nothing has to read the tables for. */
export function createAppUsages(tables: Pick<TableReads, "appUsages">, apps: Pick<Apps, "idOf">) {
  const counted = new Map<string, Counted>();
  for (const { app, ...usage } of tables.appUsages()) counted.set(app, { usage, saved: usage });
  /** Apps that the batch which is being made has more or less of. */
  let changed = new Set<string>();

  return {
    of: (app: string): AppUsage => counted.get(app)?.usage ?? NO_USAGE,

    /** The transaction adds so much to what there is of the app, or takes it away. */
    add(transaction: Transaction, app: string, by: Partial<AppUsage>): void {
      const one = counted.get(app) ?? { usage: NO_USAGE, saved: NO_USAGE };
      const { sessions = 0, dataBytes = 0, answerBytes = 0 } = by;
      counted.set(app, one);
      changed.add(app);
      one.usage = plus(one.usage, sessions, dataBytes, answerBytes);
      transaction.onRollback(() => {
        one.usage = plus(one.usage, -sessions, -dataBytes, -answerBytes);
      });
    },

    /** Ends a batch of writes: what it counted is written with it. */
    seal(transaction: Transaction): void {
      if (changed.size === 0) return;
      const apart = changed;
      changed = new Set();
      for (const app of apart) {
        const one = counted.get(app);
        const id = apps.idOf(app);
        if (!one || id === null || isSame(one.usage, one.saved)) continue;
        const before = one.saved;
        one.saved = one.usage;
        transaction.onRollback(() => {
          one.saved = before;
        });
        transaction.add(tableWrites.appUsage(id, one.usage));
      }
    },
  };
}

function plus(usage: AppUsage, sessions: number, dataBytes: number, answerBytes: number): AppUsage {
  return {
    sessions: usage.sessions + sessions,
    dataBytes: usage.dataBytes + dataBytes,
    answerBytes: usage.answerBytes + answerBytes,
  };
}

function isSame(a: AppUsage, b: AppUsage): boolean {
  return (
    a.sessions === b.sessions && a.dataBytes === b.dataBytes && a.answerBytes === b.answerBytes
  );
}
