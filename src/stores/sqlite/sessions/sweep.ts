import { expiresAt, isLive } from "../../../domain/sessions/session.js";
import type { WorkingSet } from "../cache/working-set.js";
import type { RunWrite } from "../commit/commit-queue.js";
import { isDamageAnswer } from "../file/failure.js";
import type { StoreHealth } from "../file/health.js";
import type { Requests } from "../state/answers.js";
import type { SessionHead } from "../tables/session-heads.js";
import type { TableReads } from "../tables/tables.js";
import { tableWrites } from "../tables/tables.js";
import type { Removals } from "./removals.js";

/** TableReads on damaged pages that a sweep passes over; beyond them it goes no further. */
const MOST_DAMAGED = 10_000;

/** Milliseconds until what met damage that it cannot pass over is tried again. */
const DAMAGE_PAUSE = 60_000;

export interface SweepOptions {
  readonly tables: Pick<
    TableReads,
    "firstExpiry" | "expiredRequests" | "firstSweep" | "toSweep" | "rowsToSweep" | "headToSweep"
  >;
  readonly memory: Pick<WorkingSet, "latest">;
  readonly removals: Pick<Removals, "removeAll">;
  readonly requests: Pick<Requests, "forget">;
  readonly health: Pick<StoreHealth, "read">;
  /** Carries out a write of the store's own. */
  readonly write: RunWrite;
  /** Told how many sessions were removed, if any. */
  readonly swept: (sessions: number) => void;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
}

interface Swept {
  readonly examined: number;
  readonly expired: number;
}

/** What removes at most `limit` of what expired up to `now` (ms); each answers whether there may
 * be more. */
export function createSweep(options: SweepOptions) {
  const { tables, memory, removals, requests, health, write, swept, clock } = options;
  /** TableReads that cannot be removed. */
  const damaged = new Set<number>();

  const examine = (read: () => readonly SessionHead[], now: number): Promise<Swept> =>
    write("rows", (transaction) => {
      const due = read();
      const expired: SessionHead[] = [];
      for (const head of due) {
        const session = memory.latest(head) ?? head.session;
        if (isLive(session, now))
          transaction.add(tableWrites.deferSweep(head.row, expiresAt(session)));
        else expired.push(head);
      }
      removals.removeAll(transaction, expired, "idle", now);
      return { examined: due.length, expired: expired.length };
    });

  /** The same row by row, which passes over those on damaged pages. */
  const examineEach = async (now: number, limit: number): Promise<Swept> => {
    const due = health.read(() => tables.rowsToSweep(now, limit + damaged.size));
    let [examined, expired] = [0, 0];
    for (const row of due.filter((one) => !damaged.has(one))) {
      const read = () => {
        const head = tables.headToSweep(row);
        return head ? [head] : [];
      };
      try {
        expired += (await examine(read, now)).expired;
      } catch (error) {
        if (!isDamageAnswer(error) || damaged.size === MOST_DAMAGED) throw error;
        damaged.add(row);
      }
      examined++;
    }
    return { examined, expired };
  };

  const examineAll = async (now: number, limit: number): Promise<Swept> => {
    if (damaged.size > 0) return examineEach(now, limit);
    try {
      return await examine(() => tables.toSweep(now, limit), now);
    } catch (error) {
      if (!isDamageAnswer(error)) throw error;
      return examineEach(now, limit);
    }
  };

  return {
    /** Answers that were kept for repeated calls. */
    async requests(now: number, limit: number): Promise<boolean> {
      const first = health.read(() => tables.firstExpiry());
      if (first === null || first > now) return false;
      return write("memory", (transaction) => {
        const expired = tables.expiredRequests(now, limit);
        requests.forget(transaction, expired);
        return expired.length === limit;
      });
    },

    /** Sessions; those that were used since their row was written are looked at again later. */
    async sessions(now: number, limit: number): Promise<boolean> {
      const first = health.read(() => tables.firstSweep());
      if (first === null || first > now) return false;
      const { examined, expired } = await examineAll(now, limit);
      if (expired > 0) swept(expired);
      return examined >= limit;
    },

    /** What runs a part of a sweep, so that damage which ends it keeps no other part from running. */
    part(run: (now: number, limit: number) => Promise<boolean>) {
      let pausedUntil = Number.NEGATIVE_INFINITY;
      return async (now: number, limit: number): Promise<boolean> => {
        if (clock() < pausedUntil) return false;
        try {
          return await run(now, limit);
        } catch (error) {
          if (!isDamageAnswer(error)) throw error;
          pausedUntil = clock() + DAMAGE_PAUSE;
          return false;
        }
      };
    },
  };
}
