import { expiresAt, isLive } from "../../domain/session.js";
import type { RunWrite } from "./commit-queue.js";
import type { Guard } from "./guard.js";
import type { Removals } from "./removals.js";
import { rowWrites } from "./row-writes.js";
import type { Rows, SessionHead } from "./rows.js";
import type { WorkingSet } from "./working-set.js";

export interface SweepOptions {
  readonly rows: Pick<Rows, "expiredRequests" | "firstSweep" | "toSweep">;
  readonly memory: Pick<WorkingSet, "latest">;
  readonly removals: Pick<Removals, "removeAll">;
  readonly guard: Pick<Guard, "read">;
  /** Carries out a write of the store's own. */
  readonly write: RunWrite;
  /** Told how many sessions were removed, if any. */
  readonly swept: (sessions: number) => void;
}

/** What removes at most `limit` of what expired up to `now` (ms); each answers whether there may
 * be more. */
export function createSweep({ rows, memory, removals, guard, write, swept }: SweepOptions) {
  return {
    /** Answers that were kept for repeated calls. */
    async requests(now: number, limit: number): Promise<boolean> {
      const expired = guard.read(() => rows.expiredRequests(now, limit));
      if (expired > 0) {
        await write("memory", (transaction) =>
          transaction.add(rowWrites.sweepRequests(now, limit)),
        );
      }
      return expired === limit;
    },

    /** Sessions; those that were used since their row was written are looked at again later. */
    async sessions(now: number, limit: number): Promise<boolean> {
      const first = guard.read(() => rows.firstSweep());
      if (first === null || first > now) return false;
      const { examined, expired } = await write("rows", (transaction) => {
        const due = rows.toSweep(now, limit);
        const expired: SessionHead[] = [];
        for (const head of due) {
          const session = memory.latest(head) ?? head.session;
          if (isLive(session, now))
            transaction.add(rowWrites.deferSweep(head.row, expiresAt(session)));
          else expired.push(head);
        }
        removals.removeAll(transaction, expired, "idle", now);
        return { examined: due.length, expired: expired.length };
      });
      if (expired > 0) swept(expired);
      return examined === limit;
    },
  };
}
