// Fills a database with sessions by the store's own code: the same statements in the same order
// as a server's, so that the file is laid out as a server's is. A process of its own, so that
// what it takes of memory is gone when the server is measured.
import { once } from "node:events";
import { closeSync, fsyncSync, openSync } from "node:fs";
import { v7 } from "uuid";
import { hashToken } from "../../src/domain/token.js";
import { openThreadWriter } from "../../src/stores/sqlite/commit/client.js";
import type { Writer, WriterOptions } from "../../src/stores/sqlite/commit/writer.js";
import { openConnection } from "../../src/stores/sqlite/file/connection.js";
import { openSqliteStore } from "../../src/stores/sqlite/open.js";
import { prepareRowWrites } from "../../src/stores/sqlite/tables/tables.js";
import { appOf, type Population, tokenOf, userIdOf } from "./population.js";

/** The message that the process is sent; it answers with numbers of sessions, the last with all. */
export interface Filling {
  readonly path: string;
  readonly population: Population;
  /** The instant (ms since 1970) that ends them all; null: they live for 30 days. */
  readonly expiresAt: number | null;
  /** Whether each batch is on disk before the next, as in a server, or only all at the end. */
  readonly durable: boolean;
}

/** 64 bytes as JSON. */
const DATA = { name: "Kim Min-su", unread: 12, theme: "dark", cart: "0123456789" };
const IDLE_MS = 30 * 24 * 3_600_000;
const AT_ONCE = 2_048;
const TELL_EVERY = 20 * AT_ONCE;
/** TableReads of a transaction of the bulk writer: each writes most pages of the indexes anew. */
const BULK_ROWS = 500_000;

const [{ path, population, expiresAt, durable }] = (await once(process, "message")) as [Filling];

const store = openSqliteStore({
  path,
  observer: { committed: () => {}, swept: () => {} },
  clock: () => performance.now(),
  onFatal: (error) => {
    throw error;
  },
  cacheBytes: 8 * 1024 * 1024,
  openWriter: durable ? openThreadWriter : openBulkWriter,
});
for (let from = 0; from < population.count; from += AT_ONCE) {
  const count = Math.min(AT_ONCE, population.count - from);
  await Promise.all(Array.from({ length: count }, (_, i) => create(from + i)));
  if (from % TELL_EVERY === 0) process.send?.(from);
}
await store.close();
// So that no server is measured while the system writes what it still holds of the file.
const file = openSync(path, "r");
fsyncSync(file);
closeSync(file);
process.send?.(population.count);
process.disconnect();

function create(n: number): Promise<unknown> {
  const now = Date.now();
  const session = {
    id: v7(),
    app: appOf(population, n),
    userId: userIdOf(population, n),
    ip: "192.0.2.44",
    userAgent: "",
    data: DATA,
    reads: 1,
    writes: 1,
    version: 1,
    createdAt: now,
    lastAccessedAt: now,
    idleTtl: IDLE_MS,
    absoluteExpiresAt: expiresAt,
  };
  return store.create(session, hashToken(tokenOf(population, n)));
}

/** Commits and syncs rarely, and holds what it writes in memory: nobody is answered here. */
function openBulkWriter(options: WriterOptions): Writer {
  const db = openConnection(options.path);
  db.pragma("synchronous = OFF");
  db.pragma("cache_size = -1048576");
  const run = prepareRowWrites(db);
  let rows = 0;
  return {
    async commit({ writes }) {
      if (!db.inTransaction) db.exec("BEGIN IMMEDIATE");
      try {
        for (const write of writes) run(write);
      } catch (cause) {
        // Not as the error that it is: nothing is rolled back, so nothing can be tried again.
        throw new Error(`filling failed: ${cause}`, { cause });
      }
      rows += writes.length;
      if (rows < BULK_ROWS) return;
      rows = 0;
      db.exec("COMMIT");
    },
    async close() {
      if (db.inTransaction) db.exec("COMMIT");
      db.pragma("wal_checkpoint(TRUNCATE)");
      db.close();
    },
  };
}
