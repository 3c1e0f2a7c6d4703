import type { Database } from "better-sqlite3";
import type { AppPolicy } from "../../../domain/sessions/app-policy.js";
import type { Write } from "./write.js";

type PolicyRow = Omit<AppPolicy, "callerTokens"> & {
  readonly app: string;
  readonly callerTokens: number;
};

export const POLICY_STATEMENTS = {
  setPolicy: `INSERT OR REPLACE INTO app_policies (app, default_idle_ttl, max_idle_ttl,
    default_absolute_ttl, max_absolute_ttl, max_sessions_per_user, at_limit, bind_ip,
    bind_user_agent, touch_interval, caller_tokens) VALUES (${"?, ".repeat(10)}?)`,
} as const;

export const policyWrites = {
  setPolicy: (app: string, policy: AppPolicy): Write<keyof typeof POLICY_STATEMENTS> => [
    "setPolicy",
    app,
    policy.defaultIdleTtl,
    policy.maxIdleTtl,
    policy.defaultAbsoluteTtl,
    policy.maxAbsoluteTtl,
    policy.maxSessionsPerUser,
    policy.atLimit,
    policy.bindIp,
    policy.bindUserAgent,
    policy.touchInterval,
    policy.callerTokens ? 1 : 0,
  ],
};

/** Prepares the read of all policies. */
export function createPolicyReads(db: Database) {
  const all = db.prepare<[], PolicyRow>(
    `SELECT app, default_idle_ttl AS defaultIdleTtl, max_idle_ttl AS maxIdleTtl,
       default_absolute_ttl AS defaultAbsoluteTtl, max_absolute_ttl AS maxAbsoluteTtl,
       max_sessions_per_user AS maxSessionsPerUser, at_limit AS atLimit, bind_ip AS bindIp,
       bind_user_agent AS bindUserAgent, touch_interval AS touchInterval,
       caller_tokens AS callerTokens
     FROM app_policies`,
  );
  return {
    policies: (): [app: string, policy: AppPolicy][] =>
      all
        .all()
        .map(({ app, callerTokens, ...policy }) => [
          app,
          { ...policy, callerTokens: callerTokens === 1 },
        ]),
  };
}
