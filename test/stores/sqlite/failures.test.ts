import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionStore } from "../../../src/domain/sessions/session-store.js";
import { withDatabase } from "../../support/stores/database.js";
import { createTrial, listAll, MINUTE, NOW, setKey } from "../../support/stores/fixture.js";

/** Fails, alone, every statement that would create, change or end a session of this agent. */
const STUCK = [
  ["INSERT", "NEW"],
  ["UPDATE", "OLD"],
  ["DELETE", "OLD"],
]
  .map(
    ([event, row]) => `CREATE TRIGGER stuck_${event} BEFORE ${event} ON sessions
      WHEN ${row}.user_agent = 'stuck' BEGIN SELECT RAISE(ABORT, 'stuck'); END;`,
  )
  .join("\n");

/** Ways to fail the whole transaction of a write that creates a session of user `poison`. */
const POISONS = {
  "whose commit fails": `
    CREATE TABLE homes (id INTEGER PRIMARY KEY);
    CREATE TABLE orphans (id REFERENCES homes DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER poison AFTER INSERT ON sessions WHEN NEW.user_id = 'poison'
      BEGIN INSERT INTO orphans VALUES (1); END;`,
  "that fails in its midst": `
    CREATE TRIGGER poison AFTER INSERT ON sessions WHEN NEW.user_id = 'poison'
      BEGIN SELECT RAISE(ROLLBACK, 'poison'); END;`,
};

/** The sessions that can be seen of a store, and how many it holds. Counting active
 * users is left out: it writes the touches that wait. */
async function survey(store: SessionStore): Promise<unknown> {
  return {
    shop: await listAll(store, "shop", NOW),
    blog: await listAll(store, "blog", NOW),
    held: store.stats().sessions,
  };
}

const statuses = (outcomes: readonly PromiseSettledResult<unknown>[]) =>
  outcomes.map(({ status }) => status);

describe("a write that SQLite fails", () => {
  test("it fails alone in its group", () =>
    withDatabase(async (trial) => {
      const { store } = trial;
      const { add, mint } = createTrial(trial);
      const [updated, deleted] = [await add(), await add()];
      trial.tamper(STUCK);
      const [fresh, stuck] = [mint(), mint({ userAgent: "stuck" })];
      const outcomes = await Promise.allSettled([
        store.update("shop", updated.tokenHash, NOW, setKey("a", 1)),
        store.create(stuck.session, stuck.tokenHash),
        store.create(fresh.session, fresh.tokenHash),
        store.delete("shop", { tokenHash: deleted.tokenHash }, NOW),
      ]);
      assert.deepEqual(statuses(outcomes), ["fulfilled", "rejected", "fulfilled", "fulfilled"]);

      const check = async (one: SessionStore) => {
        assert.equal(await one.peek("shop", stuck.tokenHash, NOW), null);
        assert.equal((await one.peek("shop", updated.tokenHash, NOW))?.data["a"], 1);
        assert.deepEqual(await one.peek("shop", fresh.tokenHash, NOW), fresh.session);
        assert.equal(await one.peek("shop", deleted.tokenHash, NOW), null);
        assert.equal(one.stats().sessions, 2);
      };
      await check(store);
      await check(await trial.reopen());
    }));

  // Each fails at a statement that is not its first.
  const writes: Record<string, (store: SessionStore) => Promise<unknown>> = {
    deleteUser: (store) => store.deleteUser("shop", "ann", NOW),
    deleteApp: (store) => store.deleteApp("shop", NOW),
    sweep: (store) => store.sweep(NOW + MINUTE, 10),
  };
  for (const [name, write] of Object.entries(writes)) {
    test(`a ${name} that fails part way leaves nothing of itself`, () =>
      withDatabase(async (trial) => {
        const { store } = trial;
        const { add } = createTrial(trial);
        await add({ idleTtl: MINUTE });
        await add({ idleTtl: MINUTE, userAgent: "stuck" });
        await add({ idleTtl: MINUTE });
        const before = await survey(store);
        trial.tamper(STUCK);
        await assert.rejects(write(store));
        assert.deepEqual(await survey(store), before);
        assert.deepEqual(await survey(await trial.reopen()), before);
      }));
  }

  test("an update of data and limits that fails part way leaves nothing of itself", () =>
    withDatabase(async (trial) => {
      const { store } = trial;
      const { session, tokenHash } = await createTrial(trial).add();
      trial.tamper(`CREATE TRIGGER stuck BEFORE UPDATE OF idle_ttl ON sessions
        BEGIN SELECT RAISE(ABORT, 'stuck'); END`);
      await assert.rejects(
        store.update("shop", tokenHash, NOW, (before) => ({
          ...setKey("a", 1)(before),
          idleTtl: MINUTE,
        })),
      );
      assert.deepEqual(await store.peek("shop", tokenHash, NOW), session);
      assert.deepEqual(await (await trial.reopen()).peek("shop", tokenHash, NOW), session);
    }));
});

describe("a group of writes", () => {
  for (const [which, poison] of Object.entries(POISONS)) {
    test(`one ${which} is rejected, and the others are carried out in their order`, () =>
      withDatabase(async (trial) => {
        const { store } = trial;
        const { add, mint } = createTrial(trial);
        const [updated, deleted, touched] = [await add(), await add(), await add()];
        await add({ userId: "bob" });
        await add({ app: "blog" });
        await store.touch("shop", touched.tokenHash, NOW + 1);
        await store.touch("shop", updated.tokenHash, NOW + 1);
        trial.tamper(poison);

        const [fresh, poisoned, news] = [mint(), mint({ userId: "poison" }), mint({ app: "news" })];
        const outcomes = await Promise.allSettled([
          store.update("shop", updated.tokenHash, NOW, setKey("a", 1)),
          store.create(poisoned.session, poisoned.tokenHash),
          store.update("shop", updated.tokenHash, NOW, setKey("b", 1)),
          store.delete("shop", { tokenHash: deleted.tokenHash }, NOW),
          store.deleteUser("shop", "bob", NOW),
          store.deleteApp("blog", NOW),
          store.create(news.session, news.tokenHash),
          store.create(fresh.session, fresh.tokenHash),
          store.touch("shop", touched.tokenHash, NOW - 1),
        ]);
        assert.deepEqual(
          outcomes.map(({ status }) => status === "fulfilled"),
          [true, false, true, true, true, true, true, true, true],
        );
        trial.tamper("DROP TRIGGER poison");

        const check = async (one: SessionStore) => {
          assert.deepEqual((await one.peek("shop", updated.tokenHash, NOW))?.data, {
            ...updated.session.data,
            a: 1,
            b: 1,
          });
          const found = await one.peek("shop", touched.tokenHash, NOW);
          assert.deepEqual(found, { ...touched.session, reads: 3, lastAccessedAt: NOW + 1 });
          assert.equal(await one.peek("shop", deleted.tokenHash, NOW), null);
          assert.equal(await one.peek("shop", poisoned.tokenHash, NOW), null);
          const shop = await listAll(one, "shop", NOW);
          assert.deepEqual(
            shop.map(({ id }) => id),
            [fresh, touched, updated].map(({ session }) => session.id),
          );
          assert.deepEqual(await listAll(one, "blog", NOW), []);
          assert.deepEqual(await listAll(one, "news", NOW), [news.session]);
          assert.equal(one.stats().sessions, 4);
        };
        await check(store);
        await check(await trial.reopen());
      }));

    test(`one ${which} leaves the number of sessions true`, () =>
      withDatabase(async (trial) => {
        const { store } = trial;
        const { add } = createTrial(trial);
        trial.tamper(poison);
        await assert.rejects(add({ userId: "poison" }));
        assert.equal(store.stats().sessions, 0);
        await add();
        assert.equal(store.stats().sessions, 1);
        assert.equal((await trial.reopen()).stats().sessions, 1);
      }));

    test(`one ${which} is not told to the observer as committed`, () =>
      withDatabase(async (trial) => {
        trial.tamper(poison);
        await assert.rejects(createTrial(trial).add({ userId: "poison" }));
        assert.deepEqual(trial.seen.commits, []);
      }));
  }
});
