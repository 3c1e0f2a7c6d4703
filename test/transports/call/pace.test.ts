import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createPace } from "../../../src/transports/call/pace.js";

/** A pace of 2 in a tick of 5 ms, of which 6 may wait, under a clock that the test moves. */
function createTrial() {
  let now = 0;
  let timers: { at: number; work: () => void }[] = [];
  const done: string[] = [];
  const pace = createPace({
    ...{ tick: 5, perTick: 2, maxWaiting: 6 },
    after: (milliseconds, work) => void timers.push({ at: now + milliseconds, work }),
  });
  return {
    done,
    timers: () => timers.length,
    ask: (owner: string, name: string) => pace(owner, () => void done.push(`${owner}${name}`)),
    tick() {
      now += 5;
      const due = timers.filter(({ at }) => at <= now);
      timers = timers.filter(({ at }) => at > now);
      for (const { work } of due) work();
    },
  };
}

describe("work of a pace", () => {
  test("is done at once while there is little of it", () => {
    const { ask, done } = createTrial();
    assert.ok(ask("a", "1") && ask("a", "2"));
    assert.deepEqual(done, ["a1", "a2"]);
  });

  test("waits where there is more, and is refused where too much waits", () => {
    const { ask, done, tick } = createTrial();
    const taken = Array.from({ length: 9 }, (_, n) => ask("a", `${n}`));
    assert.deepEqual(taken, [...Array.from({ length: 8 }, () => true), false]);
    assert.equal(done.length, 2);
    tick();
    assert.equal(done.length, 4);
    assert.equal(ask("a", "later"), true);
  });

  test("of one owner does not wait for all that another asked for before", () => {
    const { ask, done, tick } = createTrial();
    for (let n = 0; n < 7; n++) ask("a", `${n}`);
    ask("b", "0");
    tick();
    assert.deepEqual(done, ["a0", "a1", "a2", "b0"]);
  });

  test("takes no timer once there is none left", () => {
    const { ask, timers, tick } = createTrial();
    ask("a", "0");
    tick();
    tick();
    assert.equal(timers(), 0);
  });

  test("is done once, in its owner's order, and never more than so much in a tick", () => {
    const asked = fc.array(fc.oneof(fc.constantFrom("a", "b", "c"), fc.constant("tick")));
    fc.assert(
      fc.property(asked, (moves) => {
        const { ask, done, tick } = createTrial();
        const taken: string[] = [];
        let atTick = 0;
        moves.forEach((move, n) => {
          if (move === "tick") {
            tick();
            assert.ok(done.length - atTick <= 4, "what is done at once, and what waited");
            atTick = done.length;
          } else if (ask(move, `${n}`)) taken.push(`${move}${n}`);
        });
        for (let left = taken.length; left > 0; left--) tick();
        assert.deepEqual([...done].sort(), [...taken].sort());
        for (const owner of ["a", "b", "c"]) {
          const of = (all: readonly string[]) => all.filter((one) => one.startsWith(owner));
          assert.deepEqual(of(done), of(taken));
        }
      }),
    );
  });
});
