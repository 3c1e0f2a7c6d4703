import {
  type IdempotencyKey,
  isAnsweredBy,
  type RequestHash,
} from "../../../domain/sessions/idempotency-key.js";
import { answerBytesFor, checkAnswers, type Quotas } from "../../../domain/sessions/quotas.js";
import type { Transaction } from "../commit/commit-queue.js";
import type { KeptAnswer, StoredAnswer } from "../tables/answers.js";
import type { TableReads } from "../tables/tables.js";
import { tableWrites } from "../tables/tables.js";
import type { AppUsages } from "./app-usage.js";
import type { Apps } from "./apps.js";

export type Requests = ReturnType<typeof createRequests>;

export interface RequestsOptions {
  readonly tables: Pick<TableReads, "request">;
  readonly apps: Pick<Apps, "add">;
  readonly usages: Pick<AppUsages, "of" | "add">;
  readonly quotas: Quotas;
}

/** What looks kept answers up, and keeps new ones as far as the app's quota goes. */
export function createRequests({ tables, apps, usages, quotas }: RequestsOptions) {
  /** Those that the file does not have yet; null: that it is about to lose. */
  const pending = new Map<RequestHash, StoredAnswer | null>();

  const latest = (key: RequestHash): StoredAnswer | null => {
    const known = pending.get(key);
    return known === undefined ? tables.request(key) : known;
  };

  const setPending = (transaction: Transaction, key: RequestHash, record: StoredAnswer | null) => {
    const before = pending.get(key);
    pending.set(key, record);
    transaction.onRollback(() => {
      if (before === undefined) pending.delete(key);
      else pending.set(key, before);
    });
    transaction.onCommit(() => {
      if (pending.get(key) === record) pending.delete(key);
    });
  };

  /** The answer that was given before; undefined if none was. Throws as `isAnsweredBy`. */
  const find = <T>(idempotencyKey: IdempotencyKey): T | undefined => {
    const record = latest(idempotencyKey.key);
    // The key holds the RPC, so what was kept under it was of this type.
    return isAnsweredBy(idempotencyKey, record) ? (JSON.parse(record.answer) as T) : undefined;
  };

  const keep = (
    transaction: Transaction,
    { app, key, body, expiresAt }: IdempotencyKey,
    answer: unknown,
  ) => {
    const record = { body, expiresAt, answer: JSON.stringify(answer), isCounted: true };
    const before = latest(key);
    const replaced = before?.isCounted ? answerBytesFor(Buffer.byteLength(before.answer)) : 0;
    const id = apps.add(transaction, app);
    usages.add(transaction, app, {
      answerBytes: answerBytesFor(Buffer.byteLength(record.answer)) - replaced,
    });
    transaction.add(tableWrites.keepRequest(key, record, id));
    setPending(transaction, key, record);
  };

  return {
    find,
    keep,

    /** What `work` answers; or if the call was answered before, that again. Null is not kept. */
    answer<T>(
      transaction: Transaction,
      idempotencyKey: IdempotencyKey | undefined,
      work: () => T,
    ): T {
      if (!idempotencyKey) return work();
      const before = find<T>(idempotencyKey);
      if (before !== undefined) return before;
      checkAnswers(idempotencyKey.app, usages.of(idempotencyKey.app), quotas);
      const answer = work();
      if (answer !== null) keep(transaction, idempotencyKey, answer);
      return answer;
    },

    /** The transaction forgets answers, as the file has them now, but for those whose rows a
     * transaction under way writes or removes. */
    forget(transaction: Transaction, answers: readonly KeptAnswer[]): void {
      const settled = answers.filter(({ key }) => !pending.has(key));
      for (const { key, app, bytes } of settled) {
        setPending(transaction, key, null);
        if (app !== null) usages.add(transaction, app, { answerBytes: -answerBytesFor(bytes) });
      }
      if (settled.length === 0) return;
      transaction.add(tableWrites.deleteRequests(settled.map(({ row }) => row)));
    },
  };
}
