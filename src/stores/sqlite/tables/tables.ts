import type { Database, Statement } from "better-sqlite3";
import { ANSWER_STATEMENTS, answerWrites, createAnswerReads } from "./answers.js";
import { APP_STATEMENTS, appWrites, createAppReads } from "./apps.js";
import { BULK_END_STATEMENTS, bulkEndWrites, createBulkEndReads } from "./bulk-ends.js";
import { createEventReads, EVENT_STATEMENTS, eventWrites } from "./events.js";
import { createPolicyReads, POLICY_STATEMENTS, policyWrites } from "./policies.js";
import {
  createRotatedTokenReads,
  ROTATED_TOKEN_STATEMENTS,
  rotatedTokenWrites,
} from "./rotated-tokens.js";
import { createSessionHeadReads } from "./session-heads.js";
import { createSessionReads, idToBytes, SESSION_STATEMENTS, sessionWrites } from "./sessions.js";
import { createTotalsReads, TOTALS_STATEMENTS, totalsWrites } from "./totals.js";
import type { Write } from "./write.js";

/** The statements that write, by name. */
const STATEMENTS = {
  ...SESSION_STATEMENTS,
  ...ROTATED_TOKEN_STATEMENTS,
  ...APP_STATEMENTS,
  ...TOTALS_STATEMENTS,
  ...ANSWER_STATEMENTS,
  ...POLICY_STATEMENTS,
  ...BULK_END_STATEMENTS,
  ...EVENT_STATEMENTS,
};

type StatementName = keyof typeof STATEMENTS;

/** A write to any table. */
export type RowWrite = Write<StatementName>;

/** The writes of all tables, each as data to be carried out later. */
export const tableWrites = {
  ...sessionWrites,
  ...rotatedTokenWrites,
  ...appWrites,
  ...totalsWrites,
  ...answerWrites,
  ...policyWrites,
  ...bulkEndWrites,
  ...eventWrites,
};

/** The reads of all tables; a reader of few names those that it needs by `Pick`. */
export type TableReads = ReturnType<typeof createTableReads>;

/** Prepares the reads of all tables. */
export function createTableReads(db: Database) {
  const sessions = createSessionReads(db);
  return {
    ...sessions,
    ...createSessionHeadReads(db),
    ...createRotatedTokenReads(db, sessions),
    ...createAppReads(db),
    ...createTotalsReads(db),
    ...createAnswerReads(db),
    ...createPolicyReads(db),
    ...createBulkEndReads(db),
    ...createEventReads(db),
  };
}

/** Prepares all writes; the function returned carries one out on the connection. */
export function prepareRowWrites(db: Database): (write: RowWrite) => void {
  const statements = Object.fromEntries(
    Object.entries(STATEMENTS).map(([name, sql]) => [name, db.prepare(sql)]),
  ) as Record<StatementName, Statement<unknown[]>>;
  return ([name, ...values]) => {
    if (name === "insert") {
      const [row, tokenHash, sessionId, ...rest] = values;
      const hash = Buffer.from(String(tokenHash), "base64url");
      statements.insert.run(row, hash, idToBytes(String(sessionId)), ...rest);
    } else {
      statements[name].run(...values);
    }
  };
}
