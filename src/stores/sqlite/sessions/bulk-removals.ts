import type { IdempotencyKey } from "../../../domain/sessions/idempotency-key.js";
import { createInFlight } from "../../../domain/sessions/in-flight.js";
import { inPacedBatches } from "../../../lib/paced-batches.js";
import type { Entry } from "../cache/entry.js";
import type { RunWrite } from "../commit/commit-queue.js";
import { isDamagedPage } from "../file/failure.js";
import type { Requests } from "../state/answers.js";
import type { Apps } from "../state/apps.js";
import { type BulkEnd, type BulkEnds, reasonOf } from "../state/bulk-ends.js";
import type { StoreTotals } from "../state/totals.js";
import type { BulkEndScope } from "../tables/bulk-ends.js";
import type { SessionHead } from "../tables/session-heads.js";
import type { TableReads } from "../tables/tables.js";
import type { Mutate, Target } from "./mutate.js";
import type { Removals } from "./removals.js";

export interface BulkRemovalsOptions {
  readonly tables: Pick<TableReads, "toEnd">;
  readonly apps: Pick<Apps, "idOf">;
  readonly ends: Pick<BulkEnds, "begin" | "finish" | "left">;
  readonly totals: Pick<StoreTotals, "nextRow">;
  readonly requests: Pick<Requests, "keep">;
  readonly removals: Pick<Removals, "removeAll">;
  readonly mutate: Mutate;
  /** Carries out a write of the store's own. */
  readonly write: RunWrite;
  /** Sessions that one transaction removes. */
  readonly batchSize: number;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
}

/** What ends the sessions of an app or of a user, and removes their rows batch by batch. */
export function createBulkRemovals(options: BulkRemovalsOptions) {
  const { tables, apps, ends, totals, requests, removals, mutate, write, batchSize, clock } =
    options;
  /** Their answers are kept when the last row is removed. */
  const inFlight = createInFlight<number | null>();

  /** Removes some rows of sessions that ended together; answers whether there may be more. */
  const reclaim = (
    end: BulkEnd,
    limit: number,
    idempotencyKey?: IdempotencyKey,
  ): Promise<boolean> =>
    write("rows", (transaction) => {
      const heads = tables.toEnd(end, limit);
      removals.removeAll(transaction, heads, reasonOf(end), end.at);
      if (heads.length === limit) return true;
      ends.finish(transaction, end);
      if (idempotencyKey) requests.keep(transaction, idempotencyKey, end.ended);
      return false;
    });

  /** Null if they are too many to be removed at once, or cannot be read: damage spares none. */
  const readHeads = (scope: BulkEndScope): SessionHead[] | null => {
    try {
      const heads = tables.toEnd(scope, batchSize + 1);
      return heads.length > batchSize ? null : heads;
    } catch (error) {
      if (isDamagedPage(error)) return null;
      throw error;
    }
  };

  return {
    /**
     * Ends the sessions of an app, or of a user of it, that exist now, all in one step; answers how
     * many, or null if `isKept` says no of the session that the target names. More than a batch of
     * them are dead at once, but removed batch by batch.
     */
    endAll(
      { app, key, now, idempotencyKey }: Target,
      userId: string | null,
      isKept: (kept: Entry | null) => boolean,
    ): Promise<number | null> {
      let end = null as BulkEnd | null;
      let sameCall = null as (() => Promise<number | null>) | null;

      const run = async () => {
        const answer = await mutate(
          "rows",
          { app, key, now, idempotencyKey },
          (transaction, kept) => {
            end = null;
            sameCall = inFlight.find(idempotencyKey);
            if (sameCall || !isKept(kept)) return null;
            const appId = apps.idOf(app);
            if (appId === null) return 0;
            const before = totals.nextRow();
            const scope = { app, appId, userId, before, keep: kept?.row ?? null, at: now };
            const heads = readHeads(scope);
            if (heads) {
              return removals.removeAll(transaction, heads, reasonOf(scope), now);
            }
            end = ends.begin(transaction, scope);
            inFlight.begin(idempotencyKey, () => ended);
            transaction.onRollback(() => inFlight.end(idempotencyKey));
            return null;
          },
        );
        if (sameCall) return sameCall();
        if (!end) return answer;
        const begun = end;
        try {
          await inPacedBatches(() => reclaim(begun, batchSize, idempotencyKey), { clock });
          return end.ended;
        } finally {
          end.isDriven = false;
          inFlight.end(idempotencyKey);
        }
      };
      const ended = run();
      return ended;
    },

    /** Removes some rows of an end whose call did not get to it; answers whether there are more. */
    async removeLeft(limit: number): Promise<boolean> {
      const end = ends.left();
      return end !== undefined && ((await reclaim(end, limit)) || ends.left() !== undefined);
    },
  };
}
