import type { EndReason } from "../../../domain/sessions/end-reason.js";
import { isLive } from "../../../domain/sessions/session.js";
import type { TokenHash } from "../../../domain/token.js";
import { type Entry, latestOf } from "../cache/entry.js";
import type { WorkingSet } from "../cache/working-set.js";
import type { Transaction } from "../commit/commit-queue.js";
import type { AppUsages } from "../state/app-usage.js";
import { type BulkEnd, type BulkEnds, reasonOf } from "../state/bulk-ends.js";
import type { createEventLog } from "../state/event-log.js";
import type { StoreTotals } from "../state/totals.js";
import type { SessionHead } from "../tables/session-heads.js";
import { tableWrites } from "../tables/tables.js";

export interface RemovalsOptions {
  readonly events: Pick<ReturnType<typeof createEventLog>, "note">;
  readonly memory: Pick<WorkingSet, "remove" | "removeAll" | "forget" | "latest">;
  readonly ends: Pick<BulkEnds, "of">;
  readonly totals: Pick<StoreTotals, "removed">;
  readonly usages: Pick<AppUsages, "add">;
}

export type Removals = ReturnType<typeof createRemovals>;

/** What ends sessions and removes their rows. */
export function createRemovals({ events, memory, ends, totals, usages }: RemovalsOptions) {
  /** Removes a row of a session that is dead by a bulk end: no call can find it any more. */
  const reclaim = (transaction: Transaction, { tokenHash, session }: SessionHead, end: BulkEnd) => {
    // It may have touches that the file does not.
    const latest = memory.latest({ tokenHash, session }) ?? session;
    events.note(transaction, "ended", latest, end.at, reasonOf(end));
    memory.forget(tokenHash);
    if (!isLive(latest, end.at)) return;
    end.ended++;
    transaction.onRollback(() => {
      end.ended--;
    });
  };

  return {
    /** The transaction ends the session for `reason`, unless it expired. */
    remove(transaction: Transaction, entry: Entry, reason: EndReason, now: number): void {
      events.note(transaction, "ended", latestOf(entry), now, reason);
      transaction.add(tableWrites.delete(entry.row));
      memory.remove(transaction, entry.tokenHash);
      totals.removed(transaction, 1);
      const { app } = entry.untouched;
      usages.add(transaction, app, { sessions: -1, dataBytes: -entry.dataBytes });
    },

    /**
     * The transaction removes rows, and ends those of their sessions that no bulk end did;
     * answers how many of these lived.
     */
    removeAll(
      transaction: Transaction,
      heads: readonly SessionHead[],
      reason: EndReason,
      now: number,
    ): number {
      let live = 0;
      const ended: TokenHash[] = [];
      for (const head of heads) {
        const { row, tokenHash, session } = head;
        const end = ends.of({ app: session.app, userId: session.userId, row });
        if (end) {
          reclaim(transaction, head, end);
          continue;
        }
        const latest = memory.latest(head) ?? session;
        if (isLive(latest, now)) live++;
        events.note(transaction, "ended", latest, now, reason);
        ended.push(tokenHash);
      }
      if (heads.length === 0) return 0;
      memory.removeAll(transaction, ended);
      transaction.add(tableWrites.deleteAll(heads.map(({ row }) => row)));
      totals.removed(transaction, heads.length);
      for (const [app, { sessions, dataBytes }] of sumByApp(heads)) {
        usages.add(transaction, app, { sessions: -sessions, dataBytes: -dataBytes });
      }
      return live;
    },
  };
}

/** How many sessions of each app there are among the heads, and the bytes of their data. */
function sumByApp(heads: readonly SessionHead[]) {
  const sums = new Map<string, { sessions: number; dataBytes: number }>();
  for (const { session, dataBytes } of heads) {
    const sum = sums.get(session.app) ?? { sessions: 0, dataBytes: 0 };
    sums.set(session.app, sum);
    sum.sessions++;
    sum.dataBytes += dataBytes;
  }
  return sums;
}
