import {
  isAnsweredBy,
  type Once,
  type RequestHash,
  type RequestRecord,
} from "../../domain/request-record.js";
import type { Transaction } from "./commit-queue.js";
import { rowWrites } from "./row-writes.js";

export type Requests = ReturnType<typeof createRequests>;

/** What looks kept answers up, and keeps new ones. `read` asks the file. */
export function createRequests(read: (key: RequestHash) => RequestRecord | null) {
  /** Those that the file does not have yet. */
  const pending = new Map<RequestHash, RequestRecord>();

  /** The answer that was given before; undefined if none was. Throws as `isAnsweredBy`. */
  const find = <T>(once: Once): T | undefined => {
    const record = pending.get(once.key) ?? read(once.key);
    // The key holds the RPC, so what was kept under it was of this type.
    return isAnsweredBy(once, record) ? (JSON.parse(record.answer) as T) : undefined;
  };

  const keep = (transaction: Transaction, { key, body, expiresAt }: Once, answer: unknown) => {
    const record: RequestRecord = { body, expiresAt, answer: JSON.stringify(answer) };
    const before = pending.get(key);
    transaction.add(rowWrites.keepRequest(key, record));
    pending.set(key, record);
    transaction.onRollback(() => {
      if (before) pending.set(key, before);
      else pending.delete(key);
    });
    transaction.onCommit(() => {
      if (pending.get(key) === record) pending.delete(key);
    });
  };

  return {
    find,
    keep,

    /** What `work` answers; or if the call was answered before, that again. Null is not kept. */
    answer<T>(transaction: Transaction, once: Once | undefined, work: () => T): T {
      if (!once) return work();
      const before = find<T>(once);
      if (before !== undefined) return before;
      const answer = work();
      if (answer !== null) keep(transaction, once, answer);
      return answer;
    },
  };
}
