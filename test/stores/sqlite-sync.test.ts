import assert from "node:assert/strict";
import { describe, test } from "node:test";
import Sqlite from "better-sqlite3";
import { LatchkeyError } from "../../src/domain/error.js";
import { migrate } from "../../src/stores/sqlite/schema.js";
import { createSqliteStore } from "../../src/stores/sqlite/store.js";
import { SyncError } from "../../src/stores/sqlite/write-ahead-log.js";
import { withFolder } from "./database.js";
import { createTrial, NOW, recordObserver } from "./suite/fixture.js";

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
}

/** A store over a real file whose log is on disk only when the test says so. */
async function withHeldDisk(
  body: (disk: {
    readonly store: ReturnType<typeof createSqliteStore>;
    /** Ends the oldest sync under way. */
    readonly settle: (error?: Error) => void;
    readonly syncs: () => number;
    readonly fatal: readonly unknown[];
  }) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const db = new Sqlite(`${folder}/latchkey.db`);
    db.pragma("journal_mode = WAL");
    migrate(db);
    const held: ((error?: Error) => void)[] = [];
    const fatal: unknown[] = [];
    let syncs = 0;
    const sync = () =>
      new Promise<void>((resolve, reject) => {
        syncs++;
        held.push((error) => (error ? reject(error) : resolve()));
      });
    const store = createSqliteStore({
      db,
      observer: recordObserver().observer,
      cacheBytes: 1_000_000,
      clock: () => performance.now(),
      log: { sync, size: () => 0, close: () => undefined },
      onFatal: (error) => fatal.push(error),
      onClose: () => undefined,
    });
    try {
      await body({ store, settle: (error) => held.shift()?.(error), syncs: () => syncs, fatal });
    } finally {
      db.close();
    }
  });
}

/** Whether the promise is settled after the event loop has turned some times. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = () => {
    settled = true;
  };
  promise.then(note, note);
  await turns();
  return settled;
}

describe("a store whose disk is slow", () => {
  test("answers a write when it is on disk, and not before", () =>
    withHeldDisk(async ({ store, settle }) => {
      const { session, tokenHash } = createTrial({ store }).mint();
      const created = store.create(session, tokenHash);
      assert.equal(await isSettled(created), false);
      settle();
      await created;

      const ended = store.delete("shop", { tokenHash }, NOW);
      assert.equal(await isSettled(ended), false);
      settle();
      assert.equal(await ended, true);
    }));

  test("serves reads meanwhile, and gathers writes for one sync more", () =>
    withHeldDisk(async ({ store, settle, syncs }) => {
      const { mint } = createTrial({ store });
      const [first, ...others] = [mint(), mint(), mint(), mint()];
      const one = store.create(first.session, first.tokenHash);
      await turns();
      const rest = others.map(({ session, tokenHash }) => store.create(session, tokenHash));
      assert.equal(await store.peek("shop", mint().tokenHash, NOW), null);
      await turns();
      assert.equal(syncs(), 1);
      settle();
      await one;
      await turns();
      assert.equal(syncs(), 2);
      settle();
      await Promise.all(rest);
    }));

  test("that fails, says that the outcome is unknown, and serves nothing more", () =>
    withHeldDisk(async ({ store, settle, fatal }) => {
      const { mint } = createTrial({ store });
      const lost = mint();
      const created = store.create(lost.session, lost.tokenHash);
      await turns();
      settle(new SyncError("the disk is gone"));
      await assert.rejects(created, (error) => {
        assert.ok(error instanceof LatchkeyError);
        assert.equal(error.code, "unavailable");
        assert.match(error.message, /unknown what was written/);
        return true;
      });
      assert.equal(fatal.length, 1);
      await assert.rejects(async () => store.peek("shop", lost.tokenHash, NOW));
      const next = mint();
      await assert.rejects(async () => store.create(next.session, next.tokenHash));
    }));
});
