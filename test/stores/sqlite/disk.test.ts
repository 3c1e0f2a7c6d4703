import assert from "node:assert/strict";
import { describe, test } from "node:test";
import Sqlite from "better-sqlite3";
import { openQuietly, withDatabase } from "../../support/stores/database.js";
import { createTrial, hasCode, listAll, NOW, setKey } from "../../support/stores/fixture.js";

describe("a SQLite store whose disk", () => {
  test("is full refuses writes as unavailable, keeps what it answered and works on", () =>
    withDatabase(async (trial) => {
      const { store, connection } = trial;
      const { add, mint } = createTrial(trial);
      const answered = [await add({ data: { text: "x".repeat(3_000) } })];
      const pages = Number(connection.pragma("page_count", { simple: true }));
      connection.pragma(`max_page_count = ${pages + 30}`);
      let refused = 0;
      for (let group = 0; group < 20 && refused === 0; group++) {
        const batch = Array.from({ length: 7 }, () => mint({ data: { text: "x".repeat(3_000) } }));
        const outcomes = await Promise.allSettled(
          batch.map(({ session, tokenHash }) => store.create(session, tokenHash)),
        );
        for (const [index, outcome] of outcomes.entries()) {
          const one = batch[index];
          assert.ok(one);
          if (outcome.status === "fulfilled") {
            answered.push(one);
          } else {
            assert.ok(hasCode("unavailable")(outcome.reason), String(outcome.reason));
            assert.equal(await store.peek("shop", one.tokenHash, NOW), null);
            refused++;
          }
        }
      }
      assert.ok(refused > 0);
      assert.deepEqual(trial.fatal, []);
      const expected = () => answered.map(({ session }) => session).toReversed();
      assert.deepEqual(await listAll(store, "shop", NOW), expected());

      connection.pragma("max_page_count = 1000000");
      answered.push(await add());
      assert.equal(store.stats().sessions, answered.length);
      const again = await trial.reopen();
      assert.deepEqual(await listAll(again, "shop", NOW), expected());
      assert.equal(again.stats().sessions, answered.length);
    }));

  test("is locked by another program refuses writes as unavailable and works on", () =>
    withDatabase(async (trial) => {
      const { store, path, connection } = trial;
      const { add, mint } = createTrial(trial);
      const { tokenHash } = await add();
      connection.pragma("busy_timeout = 0");
      const other = new Sqlite(path);
      other.exec("BEGIN IMMEDIATE");
      const fresh = mint();
      const outcomes = await Promise.allSettled([
        store.create(fresh.session, fresh.tokenHash),
        store.update("shop", tokenHash, NOW, setKey("a", 1)),
      ]);
      for (const outcome of outcomes) {
        assert.ok(outcome.status === "rejected" && hasCode("unavailable")(outcome.reason));
      }
      assert.equal((await store.touch("shop", tokenHash, NOW))?.after.reads, 2);
      other.close();

      await store.create(fresh.session, fresh.tokenHash);
      assert.equal((await store.update("shop", tokenHash, NOW, setKey("a", 1)))?.after.reads, 2);
      assert.equal(store.stats().sessions, 2);
      assert.deepEqual(trial.fatal, []);
    }));

  test("fails tells so once and is unavailable until it is opened again", () =>
    withDatabase(async (trial) => {
      const { store, path, connection } = trial;
      const { add, mint } = createTrial(trial);
      const { session, tokenHash } = await add();
      // A write to a file that cannot be written any more.
      connection.pragma("query_only = ON");
      const fresh = mint();
      const create = () => store.create(fresh.session, fresh.tokenHash);
      // Enough for several commits, each of which fails.
      const outcomes = await Promise.allSettled(Array.from({ length: 600 }, create));
      connection.pragma("query_only = OFF");
      const later = [
        create,
        async () => store.peek("shop", tokenHash, NOW),
        async () => store.touch("shop", tokenHash, NOW),
        () => store.update("shop", tokenHash, NOW, setKey("a", 1)),
        () => store.delete("shop", { tokenHash }, NOW),
        () => store.deleteUser("shop", "ann", NOW),
        () => store.deleteApp("shop", NOW),
        () => store.list("shop", NOW, { limit: 1, maxBytes: 1 }),
        () => store.countActiveUsers("shop", 0, NOW),
        () => store.sweep(NOW, 1),
        () => store.ping(),
      ];
      for (const call of later) await assert.rejects(call, hasCode("unavailable"));
      for (const outcome of outcomes) {
        assert.ok(outcome.status === "rejected" && hasCode("unavailable")(outcome.reason));
      }
      assert.equal(trial.fatal.length, 1);

      await store.close();
      const again = openQuietly(path);
      assert.deepEqual(await listAll(again, "shop", NOW), [session]);
      assert.equal(again.stats().sessions, 1);
      await again.close();
    }));
});
