import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LatchkeyError } from "../../../src/domain/error.js";
import { createTurns } from "../../../src/services/turns.js";

/** Turns whose work and rests move a clock, and how long they rested in all. */
function createTrial() {
  let now = 0;
  let rested = 0;
  const take = createTurns({
    clock: () => now,
    async pause(milliseconds) {
      now += milliseconds;
      rested += milliseconds;
    },
  });
  const spend = (milliseconds: number) => {
    now += milliseconds;
  };
  return { take, spend, rested: () => rested, idle: spend };
}

test("callers take turns, whatever each has waiting", async () => {
  const { take } = createTrial();
  const done: string[] = [];
  const asked = ["a", "a", "a", "b", "b", "c"].map((who) => take(who, () => done.push(who)));
  await Promise.all(asked);
  assert.deepEqual(done, ["a", "a", "b", "c", "a", "b"]);
});

test("a piece answers what its work does, and one that fails keeps no other from its turn", async () => {
  const { take } = createTrial();
  const failing = take("a", () => {
    throw new Error("no");
  });
  const later = take("a", async () => 7);
  await assert.rejects(failing, /^Error: no$/);
  assert.equal(await later, 7);
  assert.equal(await take("b", () => 8), 8);
});

test("the work rests for as long as it took, and work of some time is never without a rest", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          who: fc.constantFrom("a", "b"),
          takes: fc.double({ min: 0, max: 9, noNaN: true }),
        }),
      ),
      async (pieces) => {
        const { take, spend, rested } = createTrial();
        await Promise.all(pieces.map(({ who, takes }) => take(who, () => spend(takes))));
        // The rest after the last piece begins when that has been answered.
        await new Promise(setImmediate);
        const worked = pieces.reduce((sum, { takes }) => sum + takes, 0);
        assert.ok(rested() <= worked + 1e-6);
        assert.ok(rested() >= worked - 2);
      },
    ),
  ));

test("time in which nothing was to do counts as a rest", async () => {
  const { take, spend, idle, rested } = createTrial();
  for (let i = 0; i < 5; i++) {
    await take("a", () => spend(1.5));
    idle(1.5);
  }
  assert.equal(rested(), 0);
});

test("more pieces of one caller than may wait are refused, and others' are not", async () => {
  const { take } = createTrial();
  const asked = Array.from({ length: 2_000 }, () => take("a", () => "done"));
  const other = take("b", () => "done");
  const settled = await Promise.allSettled(asked);
  const refused = settled.filter((one) => one.status === "rejected");
  assert.ok(refused.length > 0);
  for (const { reason } of refused) {
    assert.ok(reason instanceof LatchkeyError);
    assert.equal(reason.code, "overloaded");
  }
  assert.ok(settled.some((one) => one.status === "fulfilled"));
  assert.equal(await other, "done");
});
