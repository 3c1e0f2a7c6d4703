import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createAdmission } from "../../../src/transports/call/admission.js";

/** Refusals that are answered when the test lets time pass. */
function createTrial() {
  let now = 0;
  let timers: { at: number; work: () => void }[] = [];
  const counted: string[] = [];
  const answered: number[] = [];
  let refused = 0;
  const admission = createAdmission({
    gate: { admits: () => false },
    observer: { refused: (transport, reason) => counted.push(`${transport} ${reason}`) },
    after: (milliseconds, work) => timers.push({ at: now + milliseconds, work }),
  });
  return {
    answered,
    counted,
    timers: () => timers.length,
    refuse(calls: number) {
      for (let call = 0; call < calls; call++) {
        const number = refused++;
        admission.refuse("http", () => answered.push(number));
      }
    },
    pass(milliseconds: number) {
      for (let left = milliseconds; left > 0; left--) {
        now++;
        const due = timers.filter(({ at }) => at <= now);
        timers = timers.filter(({ at }) => at > now);
        for (const { work } of due) work();
      }
    },
  };
}

describe("refused calls", () => {
  test("are answered at once while they are few", () => {
    const trial = createTrial();
    for (let round = 1; round <= 100; round++) {
      trial.refuse(50);
      assert.equal(trial.answered.length, round * 50);
      trial.pass(20);
    }
  });

  test("are answered at a bounded rate when they are many, in their order", () => {
    const trial = createTrial();
    trial.refuse(1_000);
    assert.equal(trial.answered.length, 50);
    trial.pass(100);
    assert.equal(trial.answered.length, 50 + 10 * 50);
    // Those that come wait behind those that are there.
    trial.refuse(10);
    assert.equal(trial.answered.length, 550);
    trial.pass(100);
    assert.deepEqual(
      trial.answered,
      Array.from({ length: 1_010 }, (_, number) => number),
    );
    assert.equal(trial.counted.length, 1_010);
    assert.deepEqual([...new Set(trial.counted)], ["http event_loop"]);
  });

  test("are answered within two seconds, however many they are", () => {
    const trial = createTrial();
    trial.refuse(20_000);
    assert.equal(trial.answered.length, 20_000 - 8_192);
    trial.pass(1_999);
    assert.equal(trial.answered.length, 20_000);
  });

  test("leave no timer behind", () => {
    const trial = createTrial();
    trial.refuse(60);
    assert.equal(trial.timers(), 1);
    trial.pass(50);
    assert.equal(trial.timers(), 0);
  });
});
