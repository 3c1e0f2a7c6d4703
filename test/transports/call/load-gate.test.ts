import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createLoadGate } from "../../../src/transports/call/load-gate.js";

const TURN_CALLS = 4;

/** A gate over an event loop that does what the test says, and judges when it is told to. */
function createLoop() {
  let now = 0;
  let idle = 0;
  let judge = () => {};
  const turnEnds: (() => void)[] = [];
  const gate = createLoadGate({
    turnCalls: TURN_CALLS,
    clock: () => now,
    idle: () => idle,
    spent: () => now,
    every: (milliseconds, work) => {
      assert.equal(milliseconds, 100);
      judge = work;
    },
    afterTurn: (work) => turnEnds.push(work),
  });
  const endTurn = () => {
    for (const work of turnEnds.splice(0)) work();
  };
  return {
    /** Lets so much time pass, of which so much is idle; then the load is judged. */
    pass(milliseconds: number, idleOfIt: number) {
      now += milliseconds;
      idle += idleOfIt;
      judge();
    },
    /** Lets it be busy for longer than a burst may last. */
    overload() {
      for (let interval = 0; interval <= 20; interval++) {
        now += 100;
        idle += 24;
        judge();
      }
    },
    /** How many of so many calls that come together are taken up. */
    turn(calls: number): number {
      const taken = Array.from({ length: calls }, gate.admits).filter(Boolean).length;
      endTurn();
      return taken;
    },
    admits: gate.admits,
    endTurn,
  };
}

describe("the load gate", () => {
  test("takes up a burst, however large, of a server that had time", () => {
    const loop = createLoop();
    assert.equal(loop.turn(500), 500);
    loop.pass(100, 25);
    assert.equal(loop.turn(500), 500);
  });

  test("takes up bursts, however large, as long as they end within two seconds", () => {
    const loop = createLoop();
    for (let burst = 0; burst < 10; burst++) {
      for (let interval = 0; interval < 20; interval++) {
        loop.pass(100, 0);
        assert.equal(loop.turn(5_000), 5_000);
      }
      loop.pass(100, 25);
    }
  });

  test("takes up so many calls of each turn of a server that has been busy for two seconds", () => {
    const loop = createLoop();
    loop.overload();
    assert.equal(loop.turn(500), TURN_CALLS);
    assert.equal(loop.turn(TURN_CALLS), TURN_CALLS);
    assert.equal(loop.turn(TURN_CALLS + 1), TURN_CALLS);
  });

  test("judges by the time that has passed, also when it is late to judge", () => {
    const loop = createLoop();
    loop.pass(1_000, 240);
    loop.pass(2_000, 480);
    assert.equal(loop.turn(500), TURN_CALLS);
    loop.pass(1_000, 250);
    assert.equal(loop.turn(500), 500);
  });

  test("takes up everything again when the server has time again", () => {
    const loop = createLoop();
    loop.overload();
    assert.equal(loop.turn(500), TURN_CALLS);
    loop.pass(100, 50);
    assert.equal(loop.turn(500), 500);
  });

  test("cuts at once when an overload comes again within ten seconds", () => {
    const loop = createLoop();
    loop.overload();
    loop.pass(100, 50);
    loop.pass(100, 0);
    assert.equal(loop.turn(500), TURN_CALLS);
    loop.pass(100, 50);
    for (let interval = 0; interval < 100; interval++) loop.pass(100, 50);
    loop.pass(100, 0);
    assert.equal(loop.turn(500), 500);
  });

  test("in any history it refuses only what a busy server's turn has beyond its number", () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            { weight: 8, arbitrary: fc.constant("call" as const) },
            { weight: 2, arbitrary: fc.constant("end of the turn" as const) },
            {
              weight: 1,
              arbitrary: fc.tuple(
                fc.integer({ min: 1, max: 500 }),
                fc.constantFrom(0, 20, 30, 100),
              ),
            },
          ),
          { maxLength: 200 },
        ),
        (steps) => {
          const loop = createLoop();
          loop.overload();
          let isBusy = true;
          // How long ago an overload ended that was the last, and how long it has been late.
          let since = 0;
          let late = 2_000;
          let isRelapse = true;
          // Calls of the turn since the server is overloaded.
          let calls = 0;
          for (const step of steps) {
            if (step === "call") {
              if (isBusy) calls++;
              assert.equal(loop.admits(), !isBusy || calls <= TURN_CALLS);
            } else if (step === "end of the turn") {
              loop.endTurn();
              calls = 0;
            } else {
              // Timers run between turns.
              loop.endTurn();
              calls = 0;
              const [milliseconds, idlePercent] = step;
              loop.pass(milliseconds, (milliseconds * idlePercent) / 100);
              since += milliseconds;
              if (idlePercent >= 25) {
                if (isBusy) since = 0;
                isBusy = false;
                late = -1;
              } else {
                if (late < 0) isRelapse = since < 10_000;
                late = late < 0 ? 0 : late + milliseconds;
                isBusy = isRelapse || late >= 2_000;
              }
            }
          }
        },
      ),
      { numRuns: 500 },
    ));
});
