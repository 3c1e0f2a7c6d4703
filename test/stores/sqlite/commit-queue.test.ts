import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createCommitQueue } from "../../../src/stores/sqlite/commit/commit-queue.js";

describe("the commit queue of a SQLite store", () => {
  test("very many calls that fail by the fault of one are tried again", async () => {
    const fault = new Error("fault");
    let isHeld = true;
    let again = 0;
    let fail = (_: Error) => {};
    const failed = new Promise<void>((_, reject) => {
      fail = reject;
    });
    const commits = createCommitQueue({
      writer: {
        commit() {
          if (isHeld) return failed;
          again++;
          // All of them one by one would take long.
          return again < 10 ? Promise.resolve() : new Promise(() => {});
        },
      },
      beforeCommit: () => undefined,
      translate: () => fault,
      clock: () => 0,
      isOwnFault: (error) => error === fault,
    });
    const calls = Array.from({ length: 150_000 }, (_, index) =>
      commits.run("memory", (transaction) => {
        transaction.add(["delete", index]);
        return index;
      }),
    );
    await new Promise(setImmediate);
    isHeld = false;
    fail(fault);
    assert.deepEqual(await Promise.all(calls.slice(0, 5)), [0, 1, 2, 3, 4]);
  });
});
