import {
  type AnswerRecord,
  type IdempotencyKey,
  isAnsweredBy,
  type RequestHash,
} from "../../domain/sessions/idempotency-key.js";
import {
  answerBytesFor,
  checkAnswers,
  checkApps,
  type Quotas,
} from "../../domain/sessions/quotas.js";
import type { AppUsages } from "./app-usage.js";

/** An answer, and whose it is. */
interface Kept extends AnswerRecord {
  readonly app: string;
}

/** What looks kept answers up, and keeps new ones as far as the app's quota goes. */
export function createRequests(
  usages: Pick<AppUsages, "of" | "add" | "has" | "apps">,
  quotas: Quotas,
) {
  /** In the order in which they were kept, and so, but for a clock set back, expire. */
  const records = new Map<RequestHash, Kept>();

  /** The answer that was given before; undefined if none was. Throws as `isAnsweredBy`. */
  const find = <T>(idempotencyKey: IdempotencyKey): T | undefined => {
    const record = records.get(idempotencyKey.key);
    // The key holds the RPC, so what was kept under it was of this type.
    return isAnsweredBy(idempotencyKey, record) ? (JSON.parse(record.answer) as T) : undefined;
  };

  const forget = (key: RequestHash) => {
    const record = records.get(key);
    if (!record || !records.delete(key)) return;
    usages.add(record.app, { answerBytes: -bytesOf(record) });
  };

  const keep = ({ app, key, body, expiresAt }: IdempotencyKey, answer: unknown) => {
    const record = { app, body, expiresAt, answer: JSON.stringify(answer) };
    forget(key);
    records.set(key, record);
    usages.add(app, { answerBytes: bytesOf(record) });
  };

  /** Throws `limit` if the answer could not be kept. */
  const checkRoom = (idempotencyKey: IdempotencyKey | undefined) => {
    if (!idempotencyKey) return;
    const { app } = idempotencyKey;
    checkAnswers(app, usages.of(app), quotas);
    if (!usages.has(app)) checkApps(app, usages.apps(), quotas);
  };

  return {
    find,
    keep,
    checkRoom,

    /** What `work` answers; or if the call was answered before, that again. Null is not kept. */
    answer<T>(idempotencyKey: IdempotencyKey | undefined, work: () => T): T {
      if (!idempotencyKey) return work();
      const before = find<T>(idempotencyKey);
      if (before !== undefined) return before;
      checkRoom(idempotencyKey);
      const answer = work();
      if (answer !== null) keep(idempotencyKey, answer);
      return answer;
    },

    /** Forgets at most `limit` that were kept until `now` (ms); answers whether there may be more. */
    sweep(now: number, limit: number): boolean {
      let removed = 0;
      for (const [key, { expiresAt }] of records) {
        if (expiresAt > now || removed === limit) break;
        forget(key);
        removed++;
      }
      return removed === limit;
    },

    clear: () => records.clear(),
  };
}

function bytesOf({ answer }: AnswerRecord): number {
  return answerBytesFor(Buffer.byteLength(answer));
}
