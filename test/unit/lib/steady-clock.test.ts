import assert from "node:assert/strict";
import { test } from "node:test";
import { AGREEMENT, createSteadyClock, TOLERANCE } from "../../../src/lib/steady-clock.js";

const START = Date.UTC(2040, 1, 29, 12);
const HOUR = 3_600_000;

/** A steady clock over two clocks that a test moves. */
function createTrial() {
  const clocks = { monotonic: 17.25, wall: START };
  const told: string[] = [];
  const steady = createSteadyClock({
    now: () => clocks.wall,
    clock: () => clocks.monotonic,
    onJump: (milliseconds) => told.push(`jump ${milliseconds}`),
    onAgreement: (milliseconds) => told.push(`agreement ${milliseconds}`),
  });
  return {
    steady,
    told,
    clocks,
    /** Time passes, by both clocks, and they are looked at every second. */
    pass(milliseconds: number) {
      for (let left = milliseconds; left > 0; left -= 1_000) {
        clocks.monotonic += Math.min(left, 1_000);
        clocks.wall += Math.min(left, 1_000);
        steady.now();
      }
    },
  };
}

test("time is the wall clock's as long as that goes with the monotonic one", () => {
  const { steady, clocks, pass, told } = createTrial();
  for (const step of [1, 999, 2 * HOUR, TOLERANCE]) {
    pass(step);
    assert.equal(steady.now(), clocks.wall);
    assert.equal(steady.removalTime(), clocks.wall);
  }
  assert.deepEqual(told, []);
});

test("a wall clock that is corrected by little is followed", () => {
  const { steady, clocks, pass, told } = createTrial();
  for (let correction = 0; correction < 20; correction++) {
    clocks.wall += correction % 3 === 0 ? -TOLERANCE : TOLERANCE;
    assert.equal(steady.removalTime(), clocks.wall);
    pass(AGREEMENT);
  }
  assert.deepEqual(told, []);
});

for (const jump of [3 * HOUR, -3 * HOUR, TOLERANCE + 1, -TOLERANCE - 1]) {
  test(`a jump by ${jump} ms moves no time and stops removals; it is told of once`, () => {
    const { steady, clocks, pass, told } = createTrial();
    pass(HOUR);
    clocks.wall += jump;
    assert.equal(steady.now(), START + HOUR);
    assert.equal(steady.removalTime(), null);
    pass(5_000);
    assert.equal(steady.now(), START + HOUR + 5_000);
    assert.deepEqual(told, [`jump ${jump}`]);
  });

  test(`a wall clock that stays ${jump} ms off is believed after a while`, () => {
    const { steady, clocks, pass, told } = createTrial();
    clocks.wall += jump;
    steady.now();
    pass(AGREEMENT - 1);
    assert.equal(steady.removalTime(), null);
    assert.equal(steady.now(), START + AGREEMENT - 1);
    pass(1);
    assert.equal(steady.now(), clocks.wall);
    assert.equal(steady.removalTime(), clocks.wall);
    assert.deepEqual(told, [`jump ${jump}`, `agreement ${jump}`]);
  });
}

test("a wall clock that jumps back is believed after a while, too", () => {
  const { steady, clocks, pass, told } = createTrial();
  clocks.wall += 3 * HOUR;
  pass(5_000);
  clocks.wall -= 3 * HOUR;
  assert.equal(steady.now(), clocks.wall);
  assert.equal(steady.removalTime(), null);
  pass(AGREEMENT);
  assert.equal(steady.removalTime(), clocks.wall);
  assert.deepEqual(told, [`jump ${3 * HOUR}`, "agreement 0"]);
});

test("many small steps within a while are a jump", () => {
  const { steady, clocks, pass, told } = createTrial();
  for (let step = 0; step < 3; step++) {
    clocks.wall += TOLERANCE - 1_000;
    pass(1_000);
  }
  assert.equal(steady.removalTime(), null);
  assert.equal(told.length, 1);
});

test("a process that was held between the two clocks sees no jump", () => {
  let isHeld = false;
  const clocks = { monotonic: 0, wall: START };
  const told: number[] = [];
  const steady = createSteadyClock({
    now() {
      if (isHeld) {
        isHeld = false;
        clocks.wall += HOUR;
        clocks.monotonic += HOUR;
      }
      return clocks.wall;
    },
    clock: () => clocks.monotonic,
    onJump: (milliseconds) => told.push(milliseconds),
    onAgreement: () => undefined,
  });
  isHeld = true;
  assert.equal(steady.removalTime(), START + HOUR);
  assert.deepEqual(told, []);
});
