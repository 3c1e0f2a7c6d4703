import { noSession } from "../../../domain/error.js";
import type { IdempotencyKey } from "../../../domain/sessions/idempotency-key.js";
import type { SessionKey } from "../../../domain/sessions/session-store.js";
import type { TokenHash } from "../../../domain/token.js";
import { type Entry, latestOf } from "../cache/entry.js";
import type { WorkingSet } from "../cache/working-set.js";
import type { Reads, RunWrite, Transaction } from "../commit/commit-queue.js";
import type { Requests } from "../state/answers.js";
import { tableWrites } from "../tables/tables.js";
import type { Removals } from "./removals.js";
import type { Lookup } from "./session-lookup.js";

/** Which session a call changes, and under which request it may come again. */
export interface Target {
  readonly app: string;
  readonly key: SessionKey | undefined;
  readonly now: number;
  readonly idempotencyKey?: IdempotencyKey | undefined;
}

export interface MutateOptions {
  /** Carries out a caller's write. */
  readonly write: RunWrite;
  readonly lookup: Pick<Lookup, "findKey" | "findStolen">;
  readonly requests: Pick<Requests, "answer">;
  readonly removals: Pick<Removals, "remove">;
  readonly memory: Pick<WorkingSet, "dropSpare">;
}

/**
 * Runs `work` with the session that is named, if it lives; the use of its token leaves it no spare
 * one. The use of an old token that is theft ends the session instead, and then the call rejects.
 */
export type Mutate = <T>(
  reads: Reads,
  target: Target,
  work: (transaction: Transaction, entry: Entry | null) => T | null,
) => Promise<T | null>;

/** Whether the token is the session's own and was never used, so that an old one is good yet. */
export function isFirstUse({ spare, tokenHash }: Entry, used: TokenHash): boolean {
  return spare !== null && tokenHash === used;
}

export function createMutate(options: MutateOptions): Mutate {
  const { write, lookup, requests, removals, memory } = options;

  /** The session after its use by the key. */
  const used = (transaction: Transaction, entry: Entry, key: SessionKey): Entry => {
    if (!("tokenHash" in key && isFirstUse(entry, key.tokenHash))) return entry;
    transaction.add(tableWrites.dropSpare(entry.row, latestOf(entry)));
    return memory.dropSpare(transaction, entry);
  };

  return async (reads, { app, key, now, idempotencyKey }, work) => {
    let stolen: Entry | null = null as Entry | null;
    const answer = await write(reads, (transaction) => {
      stolen = null;
      return requests.answer(transaction, idempotencyKey, () => {
        const entry = key ? lookup.findKey(app, key, now) : null;
        stolen = entry ? null : lookup.findStolen(app, key, now);
        if (!stolen) return work(transaction, entry && key ? used(transaction, entry, key) : entry);
        removals.remove(transaction, stolen, "theft", now);
        return null;
      });
    });
    if (stolen) throw noSession({ theft: { app, sessionId: stolen.untouched.id } });
    return answer;
  };
}
