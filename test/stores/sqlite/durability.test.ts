import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { openQuietly, withDatabase, withFolder } from "../../support/stores/database.js";
import {
  createTrial,
  listAll,
  MINUTE,
  NOW,
  SECOND,
  setKey,
  sweepAll,
} from "../../support/stores/fixture.js";

describe("a SQLite store opened again", () => {
  test("data, counters and deadlines are as they were", () =>
    withDatabase(async (trial) => {
      const { store } = trial;
      const { add } = createTrial(trial);
      const plain = await add({ data: JSON.parse('{"__proto__":{"a":"\\u0000"},"":[1,"한"]}') });
      const changed = await add({ userId: "a:b/c d", absoluteExpiresAt: NOW + MINUTE });
      await store.update("shop", changed.tokenHash, NOW + 1, setKey("a", 1));
      await store.touch("shop", changed.tokenHash, NOW + 2);
      await store.update("shop", changed.tokenHash, NOW + 3, (session) => ({
        ...session,
        idleTtl: 10 * SECOND,
        absoluteExpiresAt: NOW + 11 * SECOND,
        version: session.version + 1,
        lastAccessedAt: NOW + 3,
      }));
      const expected = await store.peek("shop", changed.tokenHash, NOW + 3);
      assert.equal(expected?.version, 3);

      const again = await trial.reopen();
      assert.deepEqual(await again.peek("shop", changed.tokenHash, NOW + 3), expected);
      const same = await again.peek("shop", plain.tokenHash, NOW);
      assert.deepEqual(same, plain.session);
      assert.equal(JSON.stringify(same?.data), '{"__proto__":{"a":"\\u0000"},"":[1,"한"]}');
      const deadline = NOW + 3 + 10 * SECOND;
      assert.notEqual(await again.peek("shop", changed.tokenHash, deadline - 1), null);
      assert.equal(await again.peek("shop", changed.tokenHash, deadline), null);
      assert.equal(again.stats().sessions, 2);
    }));

  test("ended sessions stay ended", () =>
    withDatabase(async (trial) => {
      const { store } = trial;
      const { add } = createTrial(trial);
      const byToken = await add();
      const byId = await add();
      const swept = await add({ idleTtl: SECOND });
      const users = await add({ userId: "bob" });
      const apps = await add({ app: "blog" });
      const left = await add();
      await store.delete("shop", { tokenHash: byToken.tokenHash }, NOW);
      await store.delete("shop", { id: byId.session.id }, NOW);
      await store.deleteUser("shop", "bob", NOW);
      await store.deleteApp("blog", NOW);
      await sweepAll(store, NOW + SECOND);

      const again = await trial.reopen();
      for (const { session, tokenHash } of [byToken, byId, swept, users, apps]) {
        assert.equal(await again.peek(session.app, tokenHash, NOW), null);
      }
      assert.deepEqual(await listAll(again, "shop", NOW), [left.session]);
      assert.deepEqual(await listAll(again, "blog", NOW), []);
      assert.equal(again.stats().sessions, 1);
    }));

  test("a listing goes on where it was, the newest first", () =>
    withDatabase(async (trial) => {
      const { addMany } = createTrial(trial);
      const minted = await addMany(5);
      const page = await trial.store.list("shop", NOW, { limit: 2, maxBytes: 1_000 });
      assert.ok(page.next !== null);
      const again = await trial.reopen();
      const later = createTrial({ store: again }).mint({
        id: "019c0000-0000-7000-8000-000000000001",
      });
      await again.create(
        later.session,
        later.tokenHash.replace(/^./, "_") as typeof later.tokenHash,
      );
      const sessions = minted.map(({ session }) => session).toReversed();
      const rest = await again.list("shop", NOW, { limit: 9, maxBytes: 1_000, before: page.next });
      assert.deepEqual([...page.sessions, ...rest.sessions], sessions);
      assert.deepEqual(await listAll(again, "shop", NOW), [later.session, ...sessions]);
    }));

  test("positions of ended sessions are not given to new ones", () =>
    withDatabase(async (trial) => {
      const { add, addMany, mint } = createTrial(trial);
      await add();
      await addMany(2);
      const page = await trial.store.list("shop", NOW, { limit: 1, maxBytes: 1_000 });
      assert.ok(page.next !== null);
      await trial.store.deleteApp("shop", NOW);
      const again = await trial.reopen();
      const later = mint();
      await again.create(later.session, later.tokenHash);
      const rest = await again.list("shop", NOW, { limit: 9, maxBytes: 1_000, before: page.next });
      assert.deepEqual(rest.sessions, []);
    }));

  test("expired sessions are swept, whichever store they were created by", () =>
    withDatabase(async (trial) => {
      const { add } = createTrial(trial);
      await add({ idleTtl: SECOND });
      const touched = await add({ idleTtl: SECOND });
      await trial.store.touch("shop", touched.tokenHash, NOW + SECOND - 1);
      const again = await trial.reopen();
      await sweepAll(again, NOW + SECOND, 1);
      assert.equal(again.stats().sessions, 1);
      await sweepAll(again, NOW + 2 * SECOND, 1);
      assert.equal(again.stats().sessions, 0);
    }));
});

describe("the files of a SQLite store", () => {
  test("they hold every answered write before the store closes", () =>
    withFolder((folder) =>
      withDatabase(async (trial) => {
        const { store, path } = trial;
        const { add, addMany } = createTrial(trial);
        const [created, updated, deleted] = [await add(), await add(), await add()];
        await store.update("shop", updated.tokenHash, NOW, setKey("a", 1));
        await store.delete("shop", { tokenHash: deleted.tokenHash }, NOW);
        await addMany(300, () => ({ app: "blog" }));

        // What a killed process would leave.
        const copy = join(folder, "latchkey.db");
        copyFileSync(path, copy);
        copyFileSync(`${path}-wal`, `${copy}-wal`);
        const again = openQuietly(copy);
        // A log that was left may have gaps on the disk: nothing is written behind it.
        assert.equal(again.stats().walBytes, 0);
        assert.deepEqual(await again.peek("shop", created.tokenHash, NOW), created.session);
        assert.deepEqual((await again.peek("shop", updated.tokenHash, NOW))?.data["a"], 1);
        assert.equal(await again.peek("shop", deleted.tokenHash, NOW), null);
        assert.equal((await listAll(again, "blog", NOW)).length, 300);
        assert.equal(again.stats().sessions, 302);
        await again.close();
      }),
    ));

  test("a second connection sees a write as soon as it is answered", () =>
    withDatabase(async (trial) => {
      const { store, inspect } = trial;
      const { tokenHash } = await createTrial(trial).add();
      const column = (name: string) =>
        inspect((db) => db.prepare(`SELECT ${name} FROM sessions`).pluck().all());
      assert.deepEqual(column("writes"), [1]);
      await store.update("shop", tokenHash, NOW, setKey("a", 1));
      assert.deepEqual(column("writes"), [2]);
      await store.delete("shop", { tokenHash }, NOW);
      assert.deepEqual(column("writes"), []);
    }));

  test("the write-ahead log is measured while it is there", () =>
    withDatabase(async (trial) => {
      await createTrial(trial).add();
      assert.ok(trial.store.stats().walBytes > 0);
    }));

  test("closing leaves no write-ahead log", () =>
    withDatabase(async (trial) => {
      await createTrial(trial).add();
      await trial.store.close();
      assert.equal(trial.store.stats().walBytes, 0);
    }));
});
