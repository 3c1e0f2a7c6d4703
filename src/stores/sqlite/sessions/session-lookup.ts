import { isLive } from "../../../domain/sessions/session.js";
import type { SessionKey } from "../../../domain/sessions/session-store.js";
import type { TokenHash } from "../../../domain/token.js";
import type { Entry } from "../cache/entry.js";
import type { WorkingSet } from "../cache/working-set.js";
import type { Apps } from "../state/apps.js";
import type { BulkEnds } from "../state/bulk-ends.js";
import { createRotatedTokens } from "../state/rotated-tokens.js";
import type { TableReads } from "../tables/tables.js";

export interface LookupOptions {
  readonly tables: Pick<TableReads, "byToken" | "bySessionId" | "byRotatedToken" | "hasToken">;
  readonly memory: Pick<WorkingSet, "get" | "admit" | "graceOf" | "follow">;
  readonly apps: Pick<Apps, "idOf">;
  readonly ends: Pick<BulkEnds, "of">;
}

export type Lookup = ReturnType<typeof createLookup>;

/** What finds live sessions, in memory or else in the file. */
export function createLookup({ tables, memory, apps, ends }: LookupOptions) {
  /** What `read` finds for an app that the file knows. */
  const inApp = <T>(app: string, read: (appId: number) => T | null): T | null => {
    const id = apps.idOf(app);
    return id === null ? null : read(id);
  };

  /** Whether the entry is a live session of the app. */
  const isOpen = (app: string, entry: Entry, now: number): boolean => {
    const { row, lastAccessedAt, untouched } = entry;
    const { userId, idleTtl, absoluteExpiresAt } = untouched;
    return (
      untouched.app === app &&
      isLive({ lastAccessedAt, idleTtl, absoluteExpiresAt }, now) &&
      !ends.of({ app, userId, row })
    );
  };

  const byOldToken = createRotatedTokens(
    memory,
    (app, tokenHash) => inApp(app, (id) => tables.byRotatedToken(app, id, tokenHash)),
    isOpen,
  );

  const find = (app: string, tokenHash: TokenHash, now: number): Entry | null => {
    let entry = memory.get(tokenHash);
    if (entry === undefined) {
      const stored = inApp(app, (id) => tables.byToken(app, id, tokenHash));
      entry = stored && memory.admit(stored);
    }
    if (entry?.tokenHash !== tokenHash) {
      const old = byOldToken(app, tokenHash, now);
      return old && old.use !== "theft" ? old.entry : null;
    }
    return isOpen(app, entry, now) ? entry : null;
  };

  return {
    /** The session that the token opens, be it an old one. */
    find,

    /** The session that is named. By its id the file is asked, which must have all writes. */
    findKey(app: string, key: SessionKey, now: number): Entry | null {
      if ("tokenHash" in key) return find(app, key.tokenHash, now);
      const stored = inApp(app, (id) => tables.bySessionId(app, id, key.id));
      return stored && find(app, stored.tokenHash, now);
    },

    /** Whether a session, live or not reclaimed yet, has the token or had it, in any app. */
    isTaken(tokenHash: TokenHash): boolean {
      const entry = memory.get(tokenHash);
      return entry === undefined ? tables.hasToken(tokenHash) : entry !== null;
    },

    /** The session of an old token whose use is theft. */
    findStolen(app: string, key: SessionKey | undefined, now: number): Entry | null {
      const old = key && "tokenHash" in key ? byOldToken(app, key.tokenHash, now) : null;
      return old?.use === "theft" ? old.entry : null;
    },

    /** Whether an old token may be rotated: the session's own was never used. */
    isRepeatable: (app: string, tokenHash: TokenHash, now: number): boolean =>
      byOldToken(app, tokenHash, now)?.use === "retry",
  };
}
