import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createLoadGate } from "../../src/transports/load-gate.js";

const TURN_CALLS = 4;

/** A gate over an event loop that does what the test says. */
function createLoop() {
  let now = 0;
  let idle = 0;
  const turnEnds: (() => void)[] = [];
  const gate = createLoadGate({
    turnCalls: TURN_CALLS,
    clock: () => now,
    idle: () => idle,
    afterTurn: (work) => turnEnds.push(work),
  });
  const endTurn = () => {
    for (const work of turnEnds.splice(0)) work();
  };
  const work = (milliseconds: number) => {
    now += milliseconds;
  };
  return {
    work,
    rest(milliseconds: number) {
      endTurn();
      now += milliseconds;
      idle += milliseconds;
    },
    /** How many of so many calls that come together are taken up, each of so many milliseconds. */
    turn(calls: number, cost: number): number {
      let taken = 0;
      for (let call = 0; call < calls; call++) {
        if (!gate.admits()) continue;
        taken++;
        work(cost);
      }
      endTurn();
      return taken;
    },
    admits: gate.admits,
    endTurn,
  };
}

/** A loop that has been busy for long enough. */
function createBusyLoop() {
  const loop = createLoop();
  for (let turn = 0; turn < 3; turn++) loop.turn(1, 100);
  return loop;
}

describe("the load gate", () => {
  test("takes up a burst, however large, of a server that had time", () => {
    const loop = createLoop();
    loop.rest(1_000);
    assert.equal(loop.turn(500, 1), 500);
  });

  test("takes up so many calls of a turn when the server has been busy for a while", () => {
    const loop = createBusyLoop();
    assert.equal(loop.turn(500, 0.1), TURN_CALLS);
    assert.equal(loop.turn(TURN_CALLS, 0.1), TURN_CALLS);
    assert.equal(loop.turn(TURN_CALLS + 1, 0.1), TURN_CALLS);
  });

  test("takes up fewer where calls are costly, and always the first", () => {
    const loop = createBusyLoop();
    assert.equal(loop.turn(500, 15), 2);
    assert.equal(loop.turn(500, 1_000), 1);
  });

  test("takes up everything again when the server has had time for a tenth of a second", () => {
    const loop = createBusyLoop();
    assert.equal(loop.turn(500, 0.1), TURN_CALLS);
    loop.rest(100);
    assert.equal(loop.turn(500, 0.1), 500);
  });

  test("does not take a loop that only waits for its writer's answers as busy", () => {
    const loop = createLoop();
    for (let turn = 0; turn < 100; turn++) {
      assert.equal(loop.turn(20, 0.3), 20);
      loop.rest(4);
    }
  });

  test("in any history: the first of a turn passes, refusals are of busy times, and of what follows the most", () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.record({ kind: fc.constant("call" as const) }),
            fc.record({ kind: fc.constant("end" as const) }),
            fc.record({
              kind: fc.constantFrom("work" as const, "rest" as const),
              milliseconds: fc.integer({ min: 1, max: 120 }),
            }),
          ),
          { maxLength: 200 },
        ),
        (steps) => {
          const loop = createLoop();
          // What the gate is to do, said in another way: by all that happened so far.
          const spans: { busy: boolean; from: number; to: number }[] = [];
          let now = 0;
          let judgedAt = 0;
          let isBusy = false;
          let calls = 0;
          let turnStart = 0;
          const idleSince = (from: number) =>
            spans
              .filter((span) => !span.busy)
              .reduce((sum, span) => sum + Math.max(0, span.to - Math.max(span.from, from)), 0);
          for (const step of steps) {
            if (step.kind === "call") {
              if (calls === 0) {
                turnStart = now;
                if (now - judgedAt >= 100) {
                  isBusy = idleSince(judgedAt) < (now - judgedAt) / 4;
                  judgedAt = now;
                }
              }
              calls++;
              const isExcess = calls > TURN_CALLS || now - turnStart >= 20;
              assert.equal(loop.admits(), calls === 1 || !(isBusy && isExcess));
            } else if (step.kind === "end") {
              loop.endTurn();
              calls = 0;
            } else {
              const busy = step.kind === "work";
              spans.push({ busy, from: now, to: now + step.milliseconds });
              now += step.milliseconds;
              loop[step.kind](step.milliseconds);
              if (!busy) calls = 0;
            }
          }
        },
      ),
      { numRuns: 500 },
    ));
});
