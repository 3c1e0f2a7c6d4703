import { type AppPolicy, evictions } from "../../../domain/sessions/app-policy.js";
import { isLive, type Lifetime, type Session } from "../../../domain/sessions/session.js";
import type { TokenHash } from "../../../domain/token.js";
import { latestOf } from "../cache/entry.js";
import type { WorkingSet } from "../cache/working-set.js";
import type { Transaction } from "../commit/commit-queue.js";
import type { BulkEnds } from "../state/bulk-ends.js";
import type { TableReads } from "../tables/tables.js";

/** A session that may have to give way, and what finds it. */
interface Candidate {
  readonly tokenHash: TokenHash;
  readonly session: Lifetime;
}

/**
 * Counts the sessions of users whose app caps them, those that the file does not
 * have yet included, so that a creation need not wait for the ones before it.
 * It must be told of every creation in an app that caps.
 */
export function createUserCap(
  tables: Pick<TableReads, "ofUser">,
  memory: Pick<WorkingSet, "peek">,
  ends: Pick<BulkEnds, "of">,
) {
  /** Creations under way, by user: the file may not have them. */
  const underWay = new Map<string, Map<number, TokenHash>>();

  const keyOf = ({ app, userId }: Session) => `${app} ${userId}`;

  const forget = (user: string, row: number) => {
    const created = underWay.get(user);
    created?.delete(row);
    if (created?.size === 0) underWay.delete(user);
  };

  /** The latest of the user's sessions, live or not, in the order of their creation. */
  const listAll = (appId: number | null, session: Session): Candidate[] => {
    const inFile = appId === null ? [] : tables.ofUser(appId, session.userId);
    const known = new Set(inFile.map(({ row }) => row));
    const created = [...(underWay.get(keyOf(session)) ?? [])]
      .filter(([row]) => !known.has(row))
      .map(([row, tokenHash]) => ({ row, tokenHash, session: null }));
    return [...inFile, ...created].flatMap(({ row, tokenHash, session: stored }) => {
      if (ends.of({ app: session.app, userId: session.userId, row })) return [];
      const entry = memory.peek(tokenHash);
      if (entry) return [{ tokenHash: entry.tokenHash, session: latestOf(entry) }];
      return entry === undefined && stored ? [{ tokenHash, session: stored }] : [];
    });
  };

  return {
    /** What must end so that `session` can be created; throws `limit` if it may not be. */
    evictions(policy: AppPolicy, appId: number | null, session: Session): readonly TokenHash[] {
      const live = listAll(appId, session).filter((one) => isLive(one.session, session.createdAt));
      return evictions(policy, live).map(({ tokenHash }) => tokenHash);
    },

    /** The transaction creates the session. */
    created(transaction: Transaction, row: number, tokenHash: TokenHash, session: Session): void {
      const user = keyOf(session);
      const created = underWay.get(user) ?? new Map<number, TokenHash>();
      underWay.set(user, created.set(row, tokenHash));
      transaction.onRollback(() => forget(user, row));
      transaction.onCommit(() => forget(user, row));
    },
  };
}
