import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Session } from "../../../src/domain/sessions/session.js";
import { type DatabaseTrial, withDatabase } from "../../support/stores/database.js";
import { turns } from "../../support/stores/faulty-disk.js";
import {
  createTrial,
  listAll,
  MINUTE,
  type Minted,
  NOW,
  SECOND,
  setKey,
} from "../../support/stores/fixture.js";

/** Moves the timers of the store, little by little, and lets it write. */
async function pass(context: TestContext, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 5) {
    context.mock.timers.tick(5);
    await turns(5);
  }
}

/** The counters and the last access that the file has, as [reads, writes, last access]. */
function inFile({ inspect }: DatabaseTrial, { session }: Minted): unknown {
  return inspect((db) =>
    db
      .prepare("SELECT reads, writes, last_accessed_at FROM sessions WHERE session_id = ?")
      .raw()
      .get(Buffer.from(session.id.replaceAll("-", ""), "hex")),
  );
}

const mockTimers = (context: TestContext) => context.mock.timers.enable({ apis: ["setTimeout"] });

describe("touches in a SQLite store", () => {
  test("a touch reaches the file within a second, without any write", (context) => {
    mockTimers(context);
    return withDatabase(async (trial) => {
      const { store } = trial;
      const minted = await createTrial(trial).add();
      await store.touch("shop", minted.tokenHash, NOW + SECOND);
      await turns(5);
      assert.deepEqual(inFile(trial, minted), [1, 1, NOW]);
      await pass(context, SECOND);
      assert.deepEqual(inFile(trial, minted), [2, 1, NOW + SECOND]);

      await store.touch("shop", minted.tokenHash, NOW + 2 * SECOND);
      await pass(context, SECOND);
      assert.deepEqual(inFile(trial, minted), [3, 1, NOW + 2 * SECOND]);
    });
  });

  test("an unbroken stream of touches is never more than a second ahead", (context) => {
    mockTimers(context);
    return withDatabase(async (trial) => {
      const minted = await createTrial(trial).add();
      for (let at = NOW + 100; at <= NOW + 4 * SECOND; at += 100) {
        await trial.store.touch("shop", minted.tokenHash, at);
        await pass(context, 100);
        const row = inFile(trial, minted);
        assert.ok(Array.isArray(row) && Number(row[2]) >= at - SECOND);
      }
    });
  });

  test("touches share their commits", (context) => {
    mockTimers(context);
    return withDatabase(async (trial) => {
      const { store, seen } = trial;
      const minted = await createTrial(trial).addMany(100);
      const commits = seen.commits.length;
      for (const { tokenHash } of [...minted, ...minted]) {
        await store.touch("shop", tokenHash, NOW + SECOND);
      }
      assert.equal(seen.commits.length, commits);
      await pass(context, SECOND);
      assert.equal(seen.commits.length, commits + 2);
      for (const one of minted) assert.deepEqual(inFile(trial, one), [3, 1, NOW + SECOND]);
    });
  });

  test("touches of many sessions are written little by little, those of one page together", (context) => {
    mockTimers(context);
    return withDatabase(async (trial) => {
      const { store, seen } = trial;
      const minted = await createTrial(trial).addMany(500);
      const inRows = minted.map((one, index) => ({ one, order: (index * 7) % 500 }));
      inRows.sort((a, b) => a.order - b.order);
      for (const { one } of inRows) await store.touch("shop", one.tokenHash, NOW + 1);
      const commits = seen.commits.length;
      await pass(context, 500);
      const written = minted.map((one) => (inFile(trial, one) as number[])[0] === 2);
      const firstLeft = written.indexOf(false);
      assert.equal(firstLeft, 64 + 128);
      assert.ok(written.slice(firstLeft).every((isWritten) => !isWritten));
      await pass(context, SECOND - 500);
      // As many more each time as take no time.
      assert.deepEqual(seen.commits.slice(commits), [1, 1, 1, 1]);
      assert.ok(minted.every((one) => (inFile(trial, one) as number[])[0] === 2));
    });
  });

  test("touches of very many sessions all reach the file", (context) => {
    mockTimers(context);
    return withDatabase(async (trial) => {
      const minted = await createTrial(trial).addMany(1_300);
      for (const { tokenHash } of minted) await trial.store.touch("shop", tokenHash, NOW + 1);
      await pass(context, SECOND);
      const touched = trial.inspect((db) =>
        db
          .prepare("SELECT count(*) FROM sessions WHERE last_accessed_at = ?")
          .pluck()
          .get(NOW + 1),
      );
      assert.equal(touched, 1_300);
    });
  });

  test("touches reach the file when the store closes", () =>
    withDatabase(async (trial) => {
      const { session, tokenHash } = await createTrial(trial).add({ idleTtl: MINUTE });
      await trial.store.touch("shop", tokenHash, NOW + MINUTE - 1);
      const store = await trial.reopen();
      const expected: Session = { ...session, reads: 2, lastAccessedAt: NOW + MINUTE - 1 };
      assert.deepEqual(await store.peek("shop", tokenHash, NOW + MINUTE), expected);
    }));

  test("a touched session that leaves the cache keeps its touch", (context) => {
    mockTimers(context);
    // Room for two or three sessions.
    return withDatabase(
      async (trial) => {
        const { store } = trial;
        const { add, addMany } = createTrial(trial);
        const minted = await add();
        await store.touch("shop", minted.tokenHash, NOW + 1);
        const touched = { ...minted.session, reads: 2, lastAccessedAt: NOW + 1 };
        for (const { tokenHash } of await addMany(20)) await store.peek("shop", tokenHash, NOW);
        assert.deepEqual((await listAll(store, "shop", NOW + 1)).at(-1), touched);
        assert.deepEqual(await store.peek("shop", minted.tokenHash, NOW + 1), touched);
        assert.deepEqual(inFile(trial, minted), [1, 1, NOW]);

        await pass(context, SECOND);
        for (const { tokenHash } of await addMany(20)) await store.peek("shop", tokenHash, NOW);
        assert.deepEqual(await store.peek("shop", minted.tokenHash, NOW + 1), touched);
        assert.equal((await store.touch("shop", minted.tokenHash, NOW + 2))?.after.reads, 3);
        await pass(context, SECOND);
        assert.deepEqual(inFile(trial, minted), [3, 1, NOW + 2]);
      },
      { cacheBytes: 2_500 },
    );
  });

  test("a touch that waits is written with the next update, and once", (context) => {
    mockTimers(context);
    return withDatabase(async (trial) => {
      const { store } = trial;
      const minted = await createTrial(trial).add();
      await store.touch("shop", minted.tokenHash, NOW + 1);
      await store.update("shop", minted.tokenHash, NOW + 1, setKey("a", 1));
      assert.deepEqual(inFile(trial, minted), [2, 2, NOW + 1]);
      await pass(context, SECOND);
      assert.deepEqual(inFile(trial, minted), [2, 2, NOW + 1]);
    });
  });

  test("a touch in the turn of an update is kept beside it", (context) => {
    mockTimers(context);
    return withDatabase(async (trial) => {
      const { store } = trial;
      const minted = await createTrial(trial).add();
      await Promise.all([
        store.touch("shop", minted.tokenHash, NOW + 1),
        store.update("shop", minted.tokenHash, NOW, setKey("a", 1)),
        store.touch("shop", minted.tokenHash, NOW + 2),
      ]);
      await pass(context, SECOND);
      assert.deepEqual(inFile(trial, minted), [3, 2, NOW + 2]);
    });
  });

  test("a touch written behind an update in one commit leaves the update as it is", (context) => {
    mockTimers(context);
    return withDatabase(async (trial) => {
      const { store } = trial;
      const minted = await createTrial(trial).add();
      await store.touch("shop", minted.tokenHash, NOW + 1);
      const updated = store.update("shop", minted.tokenHash, NOW + 2, (session) => ({
        ...session,
        lastAccessedAt: NOW + 2,
      }));
      // The touches are due before the update is committed.
      await pass(context, SECOND);
      await updated;
      assert.deepEqual(inFile(trial, minted), [2, 1, NOW + 2]);
    });
  });

  test("a touch that waits does not revive an ended session", (context) => {
    mockTimers(context);
    return withDatabase(async (trial) => {
      const { store } = trial;
      const { add } = createTrial(trial);
      const ended = [await add(), await add({ userId: "bob" }), await add({ app: "blog" })];
      for (const { session, tokenHash } of ended) {
        await store.touch(session.app, tokenHash, NOW + 1);
      }
      await store.delete("shop", { id: ended[0]?.session.id ?? "" }, NOW + 1);
      await store.deleteUser("shop", "bob", NOW + 1);
      await store.deleteApp("blog", NOW + 1);
      await pass(context, SECOND);
      const reopened = await trial.reopen();
      for (const { session, tokenHash } of ended) {
        assert.equal(await reopened.peek(session.app, tokenHash, NOW + 1), null);
      }
      assert.equal(reopened.stats().sessions, 0);
    });
  });

  test("a touch that waits does not pass to another session of its token", (context) => {
    mockTimers(context);
    return withDatabase(async (trial) => {
      const { store } = trial;
      const { add, mint } = createTrial(trial);
      const { tokenHash } = await add();
      await store.touch("shop", tokenHash, NOW + 1);
      await store.delete("shop", { tokenHash }, NOW + 1);
      const again = { session: mint().session, tokenHash };
      await store.create(again.session, tokenHash);
      await pass(context, SECOND);
      assert.deepEqual(inFile(trial, again), [1, 1, NOW]);
      assert.deepEqual(await store.peek("shop", tokenHash, NOW + 1), again.session);
    });
  });

  test("touches that could not be written are tried again", (context) => {
    mockTimers(context);
    return withDatabase(async (trial) => {
      const { store } = trial;
      const { add } = createTrial(trial);
      const minted = [await add(), await add({ userId: "stuck" }), await add()];
      trial.tamper(`CREATE TRIGGER stuck BEFORE UPDATE OF reads ON sessions
        WHEN OLD.user_id = 'stuck' BEGIN SELECT RAISE(ABORT, 'stuck'); END`);
      for (const { tokenHash } of minted) await store.touch("shop", tokenHash, NOW + 1);
      await pass(context, SECOND);
      for (const { tokenHash } of minted) {
        assert.equal((await store.peek("shop", tokenHash, NOW + 1))?.reads, 2);
      }
      trial.tamper("DROP TRIGGER stuck");
      await pass(context, SECOND);
      for (const one of minted) assert.deepEqual(inFile(trial, one), [2, 1, NOW + 1]);
    });
  });
});
