import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { latestOf } from "../../../src/stores/sqlite/cache/entry.js";
import { createWorkingSet } from "../../../src/stores/sqlite/cache/working-set.js";
import type { Transaction } from "../../../src/stores/sqlite/commit/commit-queue.js";
import { withDatabase } from "../../support/stores/database.js";
import {
  createMint,
  createTrial,
  listAll,
  MINUTE,
  type Minted,
  NOW,
  type Trial,
} from "../../support/stores/fixture.js";

/** A transaction that the test ends. */
function createTransaction() {
  const undos: (() => void)[] = [];
  const settlements: (() => void)[] = [];
  const transaction: Transaction = {
    add: () => undefined,
    onRollback: (undo) => undos.push(undo),
    onCommit: (settle) => settlements.push(settle),
  };
  return {
    transaction,
    commit: () => {
      for (const settle of settlements) settle();
    },
    rollback: () => {
      for (const undo of undos.toReversed()) undo();
    },
  };
}

describe("the working set of a SQLite store", () => {
  test("it keeps a session until the file has it, and no longer", () => {
    const memory = createWorkingSet(1, () => undefined);
    const { session, tokenHash } = createMint()();
    const created = createTransaction();
    memory.create(created.transaction, { row: 1, tokenHash, session, dataBytes: 10, spare: null });
    assert.equal(memory.get(tokenHash)?.untouched, session);
    created.commit();
    assert.equal(memory.get(tokenHash), undefined);
  });

  test("it keeps nothing of a session that the file has, after a later change of it failed", () => {
    const memory = createWorkingSet(1, () => undefined);
    const { session, tokenHash } = createMint()();
    const [created, updated] = [createTransaction(), createTransaction()];
    memory.create(created.transaction, { row: 1, tokenHash, session, dataBytes: 10, spare: null });
    const entry = memory.get(tokenHash);
    assert.ok(entry);
    const after = { ...session, writes: session.writes + 1 };
    memory.update(updated.transaction, entry, { session: after, dataBytes: 10 });
    created.commit();
    assert.equal(memory.get(tokenHash)?.untouched, after);
    updated.rollback();
    assert.equal(memory.get(tokenHash), undefined);
  });

  test("a touch of a changed session stays until it is written, though an earlier one was", () => {
    const memory = createWorkingSet(1, () => undefined);
    const { session, tokenHash } = createMint()();
    const [touched, updated] = [createTransaction(), createTransaction()];
    const entry = memory.admit({ row: 1, tokenHash, session, dataBytes: 10, spare: null });
    memory.touch(entry, { reads: session.reads + 1, lastAccessedAt: NOW });
    assert.equal(memory.get(tokenHash), entry);
    memory.take(touched.transaction, [entry]);
    memory.update(updated.transaction, entry, { session: latestOf(entry), dataBytes: 10 });
    const later = memory.get(tokenHash);
    assert.ok(later);
    memory.touch(later, { reads: session.reads + 2, lastAccessedAt: NOW });
    touched.commit();
    updated.commit();
    assert.equal(memory.get(tokenHash), later);
    assert.deepEqual(memory.touchedEntries(), [later]);

    const written = createTransaction();
    memory.take(written.transaction, [later]);
    written.commit();
    assert.equal(memory.get(tokenHash), undefined);
    assert.equal(memory.hasTouched(), false);
  });
});

describe("the cache of a SQLite store", () => {
  type Pass = (trial: Trial, others: readonly Minted[]) => Promise<unknown>;
  const passes: Record<string, Pass> = {
    "reads of many others, each once": ({ store }, others) =>
      Promise.all(others.map(({ tokenHash }) => store.peek("shop", tokenHash, NOW))),
    "a listing": ({ store }) => listAll(store, "shop", NOW),
    "a count of active users": ({ store }) => store.countActiveUsers("shop", 0, NOW),
    "a sweep": ({ store }) => store.sweep(NOW + MINUTE, 1_000),
    "the end of many": ({ store }) => store.deleteUser("shop", "bob", NOW),
    "creations of many others": ({ addMany }) => addMany(300),
  };
  for (const [what, pass] of Object.entries(passes)) {
    test(`it keeps the sessions in use through ${what}`, () =>
      withDatabase(
        async (database) => {
          const trial = createTrial(database);
          const hot = await trial.addMany(20);
          const others = await trial.addMany(300, (index) =>
            index % 2 === 0 ? { userId: "bob" } : { idleTtl: MINUTE },
          );
          const readHot = () =>
            Promise.all(hot.map(({ tokenHash }) => database.store.peek("shop", tokenHash, NOW)));
          await readHot();
          await readHot();
          await pass(trial, others);
          // Shows what comes from the file.
          database.tamper("UPDATE sessions SET user_agent = 'of the file'");
          const seen = (await readHot()).map((session) => session?.userAgent);
          assert.deepEqual(
            seen,
            hot.map(({ session }) => session.userAgent),
          );
        },
        // Room for some 90 of these.
        { cacheBytes: 80_000 },
      ));
  }
});
