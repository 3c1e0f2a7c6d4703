import type { Database } from "better-sqlite3";
import { type AppPolicy, NO_POLICY } from "../../../domain/sessions/app-policy.js";
import { checkPolicies, type Quotas } from "../../../domain/sessions/quotas.js";
import type { Transaction } from "../commit/commit-queue.js";
import { rowWrites } from "../tables/row-writes.js";

type PolicyRow = Omit<AppPolicy, "callerTokens"> & {
  readonly app: string;
  readonly callerTokens: number;
};

/** The apps' policies: all in memory, read once at opening. */
export function createPolicies(db: Database, quotas: Quotas) {
  const rows = db
    .prepare<[], PolicyRow>(
      `SELECT app, default_idle_ttl AS defaultIdleTtl, max_idle_ttl AS maxIdleTtl,
         default_absolute_ttl AS defaultAbsoluteTtl, max_absolute_ttl AS maxAbsoluteTtl,
         max_sessions_per_user AS maxSessionsPerUser, at_limit AS atLimit, bind_ip AS bindIp,
         bind_user_agent AS bindUserAgent, touch_interval AS touchInterval,
         caller_tokens AS callerTokens
       FROM app_policies`,
    )
    .all();
  const policies = new Map<string, AppPolicy>(
    rows.map(({ app, callerTokens, ...policy }) => [
      app,
      { ...policy, callerTokens: callerTokens === 1 },
    ]),
  );

  return {
    of: (app: string): AppPolicy => policies.get(app) ?? NO_POLICY,

    /** The transaction sets the app's policy. Throws `limit` if as many apps as may have one. */
    set(transaction: Transaction, app: string, policy: AppPolicy): void {
      const before = policies.get(app);
      if (!before) checkPolicies(app, policies.size, quotas);
      policies.set(app, policy);
      transaction.onRollback(() => {
        if (before) policies.set(app, before);
        else policies.delete(app);
      });
      transaction.add(rowWrites.setPolicy(app, policy));
    },
  };
}
