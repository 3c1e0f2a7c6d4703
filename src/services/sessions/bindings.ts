import { LRUCache } from "lru-cache";
import type { Logger } from "pino";
import { checkIp, checkUserAgent } from "../../domain/limits.js";
import { findMismatches, type Mismatch, type Seen } from "../../domain/sessions/binding.js";
import type { Session } from "../../domain/sessions/session.js";
import type { SessionStore } from "../../domain/sessions/session-store.js";
import type { TokenHash } from "../../domain/token.js";
import { chain, type MaybePromise } from "../../lib/maybe-promise.js";

export interface BindingsOptions {
  readonly store: Pick<SessionStore, "policy" | "peek" | "delete">;
  /** Gets a line for each session that is read with something else than it is bound to. */
  readonly logger: Pick<Logger, "warn">;
}

/** How many reports are remembered, so that a session in another place is not a line a read. */
const REMEMBERED = 1_000;

/** Holds reads to what their sessions are bound to by the app's policy. */
export function createBindings({ store, logger }: BindingsOptions) {
  const reported = new LRUCache<string, true>({ max: REMEMBERED });

  const report = ({ id, app, userId }: Session, { field, bound, seen }: Mismatch) => {
    const key = `${id} ${field} ${seen}`;
    if (reported.has(key)) return;
    reported.set(key, true);
    logger.warn(
      { app, session: id, user: userId, field, bound, seen },
      "session read from elsewhere",
    );
  };

  const end = async (session: Session, tokenHash: TokenHash, now: number, by: Mismatch) => {
    const { id, app, userId } = session;
    if (!(await store.delete(app, { tokenHash }, now, { reason: "theft" }))) return;
    const { field, bound, seen } = by;
    logger.warn(
      { app, session: id, user: userId, field, bound, seen },
      "session ended: it was read from elsewhere",
    );
  };

  return {
    /**
     * Reports or ends the session, as the policy says, if `seen` differs from what
     * it is bound to; where it ends it, it is gone when this resolves. Throws `invalid`
     * if `seen` is out of range, bound or not.
     */
    enforce(app: string, tokenHash: TokenHash, now: number, seen: Seen): MaybePromise<void> {
      if (seen.ip !== "") checkIp(seen.ip);
      if (seen.userAgent !== "") checkUserAgent(seen.userAgent);
      const policy = store.policy(app);
      if (policy.bindIp === "off" && policy.bindUserAgent === "off") return undefined;
      return chain(store.peek(app, tokenHash, now), (session): MaybePromise<void> => {
        if (!session) return undefined;
        const mismatches = findMismatches(policy, session, seen);
        const fatal = mismatches.find(({ binding }) => binding === "end");
        if (fatal) return end(session, tokenHash, now, fatal);
        for (const mismatch of mismatches) report(session, mismatch);
      });
    },
  };
}
