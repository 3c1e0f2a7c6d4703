import type { Database } from "better-sqlite3";
import type { Write } from "./write.js";

/** Counts that the database keeps so that nothing has to read a whole table for them. */
export interface Totals {
  readonly sessions: number;
  /** The highest row number ever given to a session. */
  readonly lastRow: number;
}

export const TOTALS_STATEMENTS = {
  totals: "UPDATE totals SET sessions = ?, last_id = ?",
} as const;

export const totalsWrites = {
  totals: ({ sessions, lastRow }: Totals): Write<keyof typeof TOTALS_STATEMENTS> => [
    "totals",
    sessions,
    lastRow,
  ],
};

/** Prepares the read of the one row. */
export function createTotalsReads(db: Database) {
  const totals = db.prepare<[], Totals>("SELECT sessions, last_id AS lastRow FROM totals");
  return { totals: (): Totals => totals.get() ?? { sessions: 0, lastRow: 0 } };
}
