import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { withDatabase } from "../../support/stores/database.js";
import { createTrial, listAll, type Minted, NOW, setKey } from "../../support/stores/fixture.js";

describe("group commit in a SQLite store", () => {
  test("a few writes of one turn share one commit", () =>
    withDatabase(async (trial) => {
      const { store, seen } = trial;
      const { add, addMany, mint } = createTrial(trial);
      await addMany(7);
      assert.deepEqual(seen.commits, [7]);

      const one = await add({ userId: "bob" });
      const fresh = mint();
      await Promise.all([
        store.create(fresh.session, fresh.tokenHash),
        store.update("shop", one.tokenHash, NOW, setKey("a", 1)),
        store.update("shop", one.tokenHash, NOW, setKey("b", 2)),
        store.delete("shop", { tokenHash: one.tokenHash }, NOW),
      ]);
      assert.deepEqual(seen.commits, [7, 1, 4]);
    }));

  test("a write that looks for its sessions in the file waits for those before it", () =>
    withDatabase(async (trial) => {
      const { store, seen } = trial;
      const { add, mint } = createTrial(trial);
      const known = await add();
      const [first, second, after] = [mint(), mint(), mint()];
      const outcomes = await Promise.all([
        store.create(first.session, first.tokenHash),
        store.delete("shop", { id: first.session.id }, NOW),
        store.create(second.session, second.tokenHash),
        store.delete("shop", { tokenHash: known.tokenHash }, NOW),
        store.deleteUser("shop", "ann", NOW),
        store.create(after.session, after.tokenHash),
      ]);
      const created = ({ session }: Minted) => ({ session, salt: "" });
      assert.deepEqual(outcomes, [created(first), true, created(second), true, 1, created(after)]);
      assert.deepEqual(seen.commits, [1, 1, 3, 2]);
      assert.deepEqual(await listAll(store, "shop", NOW), [after.session]);
    }));

  test("many writes of one turn begin to be committed while they come in", () =>
    withDatabase(async (trial) => {
      const { seen } = trial;
      await createTrial(trial).addMany(1_000);
      assert.equal(
        seen.commits.reduce((sum, writes) => sum + writes, 0),
        1_000,
      );
      assert.ok(seen.commits.length > 1 && seen.commits.length <= 130);
    }));

  test("reads commit nothing, nor does a sweep that finds nothing", () =>
    withDatabase(async (trial) => {
      const { store, seen } = trial;
      const { tokenHash } = await createTrial(trial).add();
      await store.peek("shop", tokenHash, NOW);
      await store.touch("shop", tokenHash, NOW);
      await listAll(store, "shop", NOW);
      await store.sweep(NOW, 10);
      assert.deepEqual(seen.commits, [1]);
    }));

  test("the observer is told the seconds that a commit took", () => {
    let time = 0;
    const clock = () => {
      time += 250;
      return time;
    };
    return withDatabase(
      async (trial) => {
        await createTrial(trial).add();
        assert.deepEqual(trial.seen.seconds, [0.25]);
      },
      { clock },
    );
  });
});
