import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Transaction } from "../../src/stores/sqlite/commit-queue.js";
import { createWorkingSet } from "../../src/stores/sqlite/working-set.js";
import { createMint } from "./suite/fixture.js";

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
    const entry = { row: 1, tokenHash, session, dataBytes: 10 };
    memory.create(created.transaction, entry);
    assert.equal(memory.get(tokenHash), entry);
    created.commit();
    assert.equal(memory.get(tokenHash), undefined);
  });

  test("it keeps nothing of a session that the file has, after a later change of it failed", () => {
    const memory = createWorkingSet(1, () => undefined);
    const { session, tokenHash } = createMint()();
    const entry = () => ({ row: 1, tokenHash, session, dataBytes: 10 });
    const [created, updated] = [createTransaction(), createTransaction()];
    const first = entry();
    memory.create(created.transaction, first);
    const second = entry();
    memory.update(updated.transaction, first, second);
    created.commit();
    assert.equal(memory.get(tokenHash), second);
    updated.rollback();
    assert.equal(memory.get(tokenHash), undefined);
  });
});
