import { isLive, type Session } from "../../../domain/sessions/session.js";
import type { ListPage, ListQuery } from "../../../domain/sessions/session-store.js";
import type { WorkingSet } from "../cache/working-set.js";
import type { createApps } from "../state/apps.js";
import type { BulkEnds } from "../state/bulk-ends.js";
import type { TableReads } from "../tables/tables.js";

/** The most rows that a page works through, so that others wait for it no longer than a few ms. */
const BATCH_SIZE = 100;

export interface ListingOptions {
  readonly tables: Pick<TableReads, "list" | "bySessionId">;
  readonly apps: Pick<ReturnType<typeof createApps>, "idOf">;
  readonly memory: Pick<WorkingSet, "latest">;
  readonly ends: Pick<BulkEnds, "of" | "floor">;
}

/**
 * What lists sessions, the newest first. A page ends where it has read BATCH_SIZE rows or as many
 * bytes as it may answer, whatever it shows of them. Nothing read comes into the cache.
 */
export function createListing({ tables, apps, memory, ends }: ListingOptions) {
  const list = (app: string, now: number, query: ListQuery): ListPage => {
    const { userId, activeSince = 0, before = Number.MAX_SAFE_INTEGER, limit, maxBytes } = query;
    const { includeEnding = false } = query;
    const appId = apps.idOf(app);
    if (appId === null) return { sessions: [], bytes: 0, next: null };
    // TableReads whose end is durable are shown too where ends under way are: events of them follow.
    const from = includeEnding ? 0 : ends.floor(app);
    const sessions: Session[] = [];
    let bytes = 0;
    let read = 0;
    let examined = 0;
    let last = before;
    for (const stored of tables.list({ app, appId, userId, before, from, limit: BATCH_SIZE })) {
      if (sessions.length === limit || read > maxBytes) return { sessions, bytes, next: last };
      examined++;
      last = stored.row;
      read += stored.dataBytes;
      const { row } = stored;
      if (!includeEnding && ends.of({ app, userId: stored.session.userId, row })) continue;
      const session = memory.latest(stored) ?? (includeEnding ? stored.session : null);
      if (!session || session.lastAccessedAt < activeSince || !isLive(session, now)) continue;
      sessions.push(session);
      bytes += stored.dataBytes;
    }
    return { sessions, bytes, next: examined === BATCH_SIZE ? last : null };
  };

  const withId = (app: string, appId: number, id: string, now: number): Session | null => {
    const stored = tables.bySessionId(app, appId, id);
    if (!stored || ends.of({ app, userId: stored.session.userId, row: stored.row })) return null;
    const session = memory.latest(stored);
    return session && isLive(session, now) ? session : null;
  };

  return {
    list,

    withIds(app: string, ids: readonly string[], now: number): Session[] {
      const appId = apps.idOf(app);
      return appId === null ? [] : ids.flatMap((id) => withId(app, appId, id, now) ?? []);
    },
  };
}
