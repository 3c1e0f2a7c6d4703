import Sqlite, { type Database } from "better-sqlite3";
import type { Turn } from "../../../domain/sessions/session-store.js";
import type { BulkEnds } from "../state/bulk-ends.js";
import type { TableReads } from "../tables/tables.js";

/** TableReads that one turn of the event loop works through. */
const BATCH_SIZE = 1_000;

/** Users told apart in memory; more go to a file that the system removes. */
const IN_MEMORY = 50_000;

/** What counts different users, however many, in bounded memory. */
function createUserSet() {
  const users = new Set<string>();
  let spilled: Database | undefined;
  let add = (user: string) => {
    users.add(user);
    if (users.size > IN_MEMORY) spill();
  };

  const spill = () => {
    // A temporary database: in a file without a name as soon as it outgrows its cache.
    const db = new Sqlite("");
    spilled = db;
    db.exec("CREATE TABLE users (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID");
    const insert = db.prepare<[string]>("INSERT OR IGNORE INTO users VALUES (?)");
    for (const user of users) insert.run(user);
    users.clear();
    add = (user) => {
      insert.run(user);
    };
  };

  return {
    add: (user: string) => add(user),
    size: () =>
      spilled?.prepare<[], number>("SELECT count(*) FROM users").pluck().get() ?? users.size,
    close: () => spilled?.close(),
  };
}

/** Which sessions count. */
export interface ActiveUsersQuery {
  readonly app: string;
  readonly appId: number;
  /** Only those accessed at or after this instant (ms). */
  readonly since: number;
  readonly now: number;
}

/**
 * Creates the counter of an app's active users. It works through a batch of rows in each turn of
 * the event loop, and reads all of the app's rows: an index that kept them by their last access would be written by every touch, and
 * doubled what touches of sessions all over a large file cost.
 */
export function createActiveUsers(
  tables: Pick<TableReads, "lastOfNext" | "activeIn">,
  ends: Pick<BulkEnds, "of">,
) {
  /** Counts a batch of the rows after one; answers its last, null if there were none. */
  const batch = (
    users: ReturnType<typeof createUserSet>,
    { app, appId, since, now }: ActiveUsersQuery,
    after: number,
  ): number | null => {
    const last = tables.lastOfNext(appId, after, BATCH_SIZE);
    if (last === null) return null;
    for (const [row, userId] of tables.activeIn(appId, after, last, since, now)) {
      if (!ends.of({ app, userId, row })) users.add(userId);
    }
    return last;
  };

  return async (
    query: ActiveUsersQuery,
    turn: Turn = atOnce,
    cancelled: () => boolean = () => false,
  ): Promise<number> => {
    const users = createUserSet();
    try {
      let after: number | null = 0;
      while (after !== null && !cancelled()) {
        const from: number = after;
        after = await turn(() => batch(users, query, from));
      }
      return users.size();
    } finally {
      users.close();
    }
  };
}

async function atOnce<T>(work: () => T): Promise<T> {
  await new Promise(setImmediate);
  return work();
}
