import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createOverloadJudge } from "../../../src/lib/overload.js";

const PATIENCE = 1_000;

function createTrial() {
  let clock = 0;
  let spent = 0;
  const judge = createOverloadJudge({
    patience: PATIENCE,
    spent: () => spent,
    clock: () => clock,
  });
  return {
    judge,
    pass(milliseconds: number, spentOfIt = milliseconds) {
      clock += milliseconds;
      spent += spentOfIt;
    },
  };
}

describe("overload", () => {
  test("begins when calls have waited for too long all the time, and not for a moment less", () => {
    const { judge, pass } = createTrial();
    assert.equal(judge(true), false);
    pass(PATIENCE - 1);
    assert.equal(judge(true), false);
    pass(1);
    assert.equal(judge(true), true);
  });

  test("does not begin while a queue empties now and then", () => {
    const { judge, pass } = createTrial();
    for (let burst = 0; burst < 100; burst++) {
      assert.equal(judge(true), false);
      pass(PATIENCE - 1);
      assert.equal(judge(true), false);
      assert.equal(judge(false), false);
    }
  });

  test("is judged by what was spent, however long that takes", () => {
    const { judge, pass } = createTrial();
    judge(true);
    pass(60_000, PATIENCE - 1);
    assert.equal(judge(true), false);
    pass(1);
    assert.equal(judge(true), true);
  });

  test("ends when calls wait no more, and comes again at once for ten seconds", () => {
    const { judge, pass } = createTrial();
    judge(true);
    pass(PATIENCE);
    assert.equal(judge(true), true);
    assert.equal(judge(false), false);
    pass(9_999, 0);
    assert.equal(judge(true), true);
    assert.equal(judge(false), false);
    pass(10_000, 0);
    assert.equal(judge(true), false);
  });
});
