import { type AppPolicy, NO_POLICY } from "../../../domain/sessions/app-policy.js";
import { checkPolicies, type Quotas } from "../../../domain/sessions/quotas.js";
import type { Transaction } from "../commit/commit-queue.js";
import { type TableReads, tableWrites } from "../tables/tables.js";

/** The apps' policies: all in memory, read once at opening. */
export function createPolicies(tables: Pick<TableReads, "policies">, quotas: Quotas) {
  const policies = new Map<string, AppPolicy>(tables.policies());

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
      transaction.add(tableWrites.setPolicy(app, policy));
    },
  };
}
