import { type AppPolicy, evictions } from "../../domain/app-policy.js";
import { isLive, type Lifetime, type Session } from "../../domain/session.js";
import type { TokenHash } from "../../domain/token.js";
import type { Transaction } from "./commit-queue.js";
import type { Rows, UserRow } from "./rows.js";
import type { WorkingSet } from "./working-set.js";

/**
 * Counts the sessions of users whose app caps them, those that the file does not
 * have yet included, so that a creation need not wait for the ones before it.
 * It must be told of every creation in an app that caps.
 */
export function createUserCap(rows: Pick<Rows, "ofUser">, memory: Pick<WorkingSet, "peek">) {
  /** Creations under way, by user: the file may not have them. */
  const underWay = new Map<string, Map<number, TokenHash>>();

  const keyOf = ({ app, userId }: Session) => `${app} ${userId}`;

  const forget = (user: string, row: number) => {
    const created = underWay.get(user);
    created?.delete(row);
    if (created?.size === 0) underWay.delete(user);
  };

  /** The user's sessions as memory knows them, in the order of their creation. */
  const listAll = (appId: number | null, session: Session) => {
    const known = new Map<number, UserRow | { tokenHash: TokenHash; session: null }>();
    const inFile = appId === null ? [] : rows.ofUser(appId, session.userId);
    for (const one of inFile) known.set(one.row, one);
    for (const [row, tokenHash] of underWay.get(keyOf(session)) ?? []) {
      if (!known.has(row)) known.set(row, { tokenHash, session: null });
    }
    return [...known.values()].flatMap(({ tokenHash, session: stored }) => {
      const entry = memory.peek(tokenHash);
      const latest: Lifetime | null = entry === undefined ? stored : (entry?.session ?? null);
      return latest ? [{ tokenHash: entry?.tokenHash ?? tokenHash, session: latest }] : [];
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
