import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createMemoryStore } from "../../../src/stores/memory/store.js";
import { createDatabase, withDatabase } from "../../support/stores/database.js";
import { createFaultyDisk, turns } from "../../support/stores/faulty-disk.js";
import {
  createTrial,
  NOW,
  type OpenStore,
  setKey,
  WHOLE,
  withStore,
} from "../../support/stores/fixture.js";
import { hear, readLog } from "../suite/telling.js";

const KEPT = 2_000;
const SMALL: Readonly<Record<string, OpenStore>> = {
  memory: () => {
    const store = createMemoryStore({ swept: () => {} }, { keptEvents: KEPT });
    return { store, seen: createTrial({ store }).seen, dispose: () => store.close() };
  },
  SQLite: () => createDatabase({ keptEvents: KEPT }),
};

describe("the log", () => {
  for (const [name, open] of Object.entries(SMALL)) {
    test(`keeps the last events and forgets those before, in ${name}`, () =>
      withStore(open, async ({ store }) => {
        const { events } = store;
        await events.watch("shop", NOW);
        const heard = hear(store);
        const first = events.latest();
        const { tokenHash } = await createTrial({ store }).add();
        const update = () => store.update("shop", tokenHash, NOW, setKey("a", 1));
        for (let n = 0; n < 50; n++) await Promise.all(Array.from({ length: 100 }, update));
        const latest = events.latest();
        assert.equal(latest, first + 5_001);
        const read = (after: number) => events.read({ app: "shop", userId: undefined, after });
        assert.notEqual(await read(latest - KEPT), null);
        assert.equal(await read(latest - KEPT - 1_100), null);
        assert.deepEqual(await readLog(store, latest - KEPT), heard.slice(-KEPT));
      }));
  }

  test("survives a restart, and its revisions go on", () =>
    withDatabase(async ({ store, reopen }) => {
      await store.events.watch("shop", NOW);
      const first = store.events.latest();
      assert.ok(first > 0, "the first revision is random");
      const heard = hear(store);
      await createTrial({ store }).add();
      const again = await reopen();
      assert.equal(again.events.latest(), first + 1);
      assert.deepEqual(await readLog(again, first), heard);
      const heardAgain = hear(again);
      await again.deleteApp("shop", NOW);
      assert.deepEqual(
        heardAgain.map(({ revision }) => revision),
        [first + 2],
      );
      assert.deepEqual(await readLog(again, first), [...heard, ...heardAgain]);
    }));

  test("of a watch that nothing followed survives a restart, too", () =>
    withDatabase(async ({ store, reopen }) => {
      await store.events.watch("shop", NOW);
      const first = store.events.latest();
      const again = await reopen();
      const heard = hear(again);
      await createTrial({ store: again }).add();
      assert.deepEqual(await readLog(again, first), heard);
      assert.equal(heard.length, 1);
    }));

  test("a session whose end is under way is listed for a snapshot, until its end is told", async () => {
    const disk = createFaultyDisk();
    await withDatabase(
      async ({ store }) => {
        const listed = async (includeEnding: boolean) => {
          const page = await store.list("shop", NOW, { ...WHOLE, includeEnding });
          return page.sessions.length;
        };
        const watching = store.events.watch("shop", NOW);
        await disk.drain();
        await watching;
        const heard = hear(store);
        const adding = createTrial({ store }).add();
        await disk.drain();
        const { tokenHash } = await adding;
        for (const fault of ["SQLITE_FULL", null] as const) {
          const deleting = store.delete("shop", { tokenHash }, NOW).catch(() => "failed");
          await turns(2);
          assert.deepEqual([await listed(false), await listed(true)], [0, 1]);
          await disk.perform(1, fault);
          disk.answer();
          assert.equal(await deleting, fault ? "failed" : true);
          assert.equal(heard.length, fault ? 1 : 2);
          assert.equal(await listed(true), fault ? 1 : 0);
        }
        await disk.calm();
      },
      { openWriter: disk.openWriter },
    );
  });

  test("has a table and a file that hold what was kept and no more", () =>
    withDatabase(
      async ({ store, inspect }) => {
        await store.events.watch("shop", NOW);
        const { tokenHash } = await createTrial({ store }).add();
        const update = () => store.update("shop", tokenHash, NOW, setKey("a", 1));
        for (let n = 0; n < 50; n++) await Promise.all(Array.from({ length: 100 }, update));
        const rows = inspect((db) => db.prepare("SELECT count(*) FROM events").pluck().get());
        assert.ok(Number(rows) >= KEPT && Number(rows) <= KEPT + 1_100, `${rows} rows`);
      },
      { keptEvents: KEPT },
    ));
});
