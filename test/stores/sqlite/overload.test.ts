import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openDirectWriter, type WriterOptions } from "../../../src/stores/sqlite/commit/writer.js";
import { withDatabase } from "../../support/stores/database.js";
import { createTrial, hasCode, NOW, setKey } from "../../support/stores/fixture.js";

const MAX_WAITING = 3;
/** No more than MAX_WAITING writes may wait, whether that is overload or a burst. */
const FEW = { overloadWrites: MAX_WAITING, writes: MAX_WAITING, bytes: 2 ** 20 };
/** Longer (ms) than a burst may last. */
const LONG = 5_000;

/** A disk that stops when it is told to, and goes on. */
function createStickyDisk() {
  let stuck = Promise.resolve();
  let free = () => {};
  return {
    stick() {
      stuck = new Promise((resolve) => {
        free = resolve;
      });
    },
    free: () => free(),
    openWriter(options: WriterOptions) {
      const writer = openDirectWriter(options);
      return {
        ...writer,
        commit: async (batch: Parameters<typeof writer.commit>[0]) => {
          await stuck;
          return writer.commit(batch);
        },
      };
    },
  };
}

describe("a SQLite store whose disk does not keep up", () => {
  test("refuses callers' writes beyond a number, answers reads, and goes on with the disk", () => {
    const disk = createStickyDisk();
    const options = { openWriter: disk.openWriter, waiting: FEW };
    return withDatabase(async (trial) => {
      const { store } = trial;
      const { add, mint } = createTrial(trial);
      const { tokenHash, session } = await add();
      assert.equal(store.stats().waitingWrites, 0);

      disk.stick();
      const one = mint();
      const waiting = [
        store.create(one.session, one.tokenHash),
        store.update("shop", tokenHash, NOW, setKey("a", 1)),
        // One that changes nothing waits for the others all the same.
        store.delete("shop", { tokenHash: mint().tokenHash }, NOW),
      ];
      assert.equal(waiting.length, MAX_WAITING);
      const more = mint();
      const refused: Readonly<Record<string, () => Promise<unknown>>> = {
        create: () => store.create(more.session, more.tokenHash),
        update: () => store.update("shop", tokenHash, NOW, setKey("b", 1)),
        delete: () => store.delete("shop", { tokenHash }, NOW),
        deleteUser: () => store.deleteUser("shop", "ann", NOW),
        deleteApp: () => store.deleteApp("shop", NOW),
        countActiveUsers: () => store.countActiveUsers("shop", 0, NOW),
      };
      for (const [what, call] of Object.entries(refused)) {
        await assert.rejects(call(), hasCode("overloaded"), what);
      }
      assert.equal(store.stats().waitingWrites, MAX_WAITING);
      assert.equal((await store.peek("shop", tokenHash, NOW))?.id, session.id);

      disk.free();
      const [created, updated, deleted] = await Promise.all(waiting);
      assert.ok(created && updated);
      assert.equal(deleted, false);
      assert.equal(store.stats().waitingWrites, 0);
      assert.equal(await store.peek("shop", more.tokenHash, NOW), null);
      await store.create(more.session, more.tokenHash);
      assert.ok(await store.peek("shop", more.tokenHash, NOW));
    }, options);
  });

  test("has room again after writes that failed", () =>
    withDatabase(
      async (trial) => {
        const { store } = trial;
        const { mint } = createTrial(trial);
        trial.tamper(`CREATE TRIGGER poison AFTER INSERT ON sessions WHEN NEW.user_id = 'poison'
          BEGIN SELECT RAISE(ROLLBACK, 'poison'); END;`);
        for (let round = 0; round < 3; round++) {
          const poisoned = mint({ userId: "poison" });
          const good = mint();
          const outcomes = await Promise.allSettled([
            store.create(poisoned.session, poisoned.tokenHash),
            store.create(good.session, good.tokenHash),
          ]);
          assert.deepEqual(
            outcomes.map(({ status }) => status),
            ["rejected", "fulfilled"],
          );
          assert.equal(store.stats().waitingWrites, 0);
        }
      },
      { waiting: FEW },
    ));

  test("takes a burst of 5,000 writes, all of which wait", () => {
    const disk = createStickyDisk();
    const waiting = { overloadWrites: MAX_WAITING, writes: 8_192, bytes: 2 ** 26 };
    return withDatabase(
      async (trial) => {
        const { mint } = createTrial(trial);
        disk.stick();
        const burst = Array.from({ length: 5_000 }, () => {
          const { session, tokenHash } = mint();
          return trial.store.create(session, tokenHash);
        });
        assert.equal(trial.store.stats().waitingWrites, 5_000);
        disk.free();
        await Promise.all(burst);
      },
      { openWriter: disk.openWriter, waiting },
    );
  });

  test("cuts a queue that has stood for seconds, and takes all when it has gone", () => {
    let now = 0;
    const disk = createStickyDisk();
    const waiting = { overloadWrites: MAX_WAITING, writes: 100, bytes: 2 ** 20 };
    return withDatabase(
      async (trial) => {
        const { store } = trial;
        const { mint } = createTrial(trial);
        const create = () => {
          const { session, tokenHash } = mint();
          return store.create(session, tokenHash);
        };
        disk.stick();
        const taken = Array.from({ length: 10 }, create);
        now += LONG;
        // The first that finds the others late begins the time that it is judged over.
        taken.push(create());
        now += LONG;
        await assert.rejects(create(), hasCode("overloaded"));
        disk.free();
        await Promise.all(taken);
        await Promise.all(Array.from({ length: 10 }, create));
      },
      { openWriter: disk.openWriter, waiting, clock: () => now },
    );
  });

  test("bounds the data that waits, and has room again after it is written", () => {
    const disk = createStickyDisk();
    const waiting = { overloadWrites: 100, writes: 100, bytes: 2_000 };
    return withDatabase(
      async (trial) => {
        const { store } = trial;
        const { mint } = createTrial(trial);
        const create = () => {
          const { session, tokenHash } = mint({ data: { text: "x".repeat(1_000) } });
          return store.create(session, tokenHash);
        };
        for (let round = 0; round < 2; round++) {
          disk.stick();
          const taken = [create()];
          await new Promise(setImmediate);
          taken.push(create());
          await new Promise(setImmediate);
          await assert.rejects(create(), hasCode("overloaded"));
          disk.free();
          await Promise.all(taken);
        }
      },
      { openWriter: disk.openWriter, waiting },
    );
  });
});
