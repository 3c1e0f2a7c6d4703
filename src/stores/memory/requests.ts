import {
  isAnsweredBy,
  type Once,
  type RequestHash,
  type RequestRecord,
} from "../../domain/request-record.js";

/** What looks kept answers up, and keeps new ones. */
export function createRequests() {
  /** In the order in which they were kept, and so, but for a clock set back, expire. */
  const records = new Map<RequestHash, RequestRecord>();

  /** The answer that was given before; undefined if none was. Throws as `isAnsweredBy`. */
  const find = <T>(once: Once): T | undefined => {
    const record = records.get(once.key);
    // The key holds the RPC, so what was kept under it was of this type.
    return isAnsweredBy(once, record) ? (JSON.parse(record.answer) as T) : undefined;
  };

  const keep = ({ key, body, expiresAt }: Once, answer: unknown) => {
    records.delete(key);
    records.set(key, { body, expiresAt, answer: JSON.stringify(answer) });
  };

  return {
    find,
    keep,

    /** What `work` answers; or if the call was answered before, that again. Null is not kept. */
    answer<T>(once: Once | undefined, work: () => T): T {
      if (!once) return work();
      const before = find<T>(once);
      if (before !== undefined) return before;
      const answer = work();
      if (answer !== null) keep(once, answer);
      return answer;
    },

    /** Forgets at most `limit` that were kept until `now` (ms); answers whether there may be more. */
    sweep(now: number, limit: number): boolean {
      let removed = 0;
      for (const [key, { expiresAt }] of records) {
        if (expiresAt > now || removed === limit) break;
        records.delete(key);
        removed++;
      }
      return removed === limit;
    },

    clear: () => records.clear(),
  };
}
