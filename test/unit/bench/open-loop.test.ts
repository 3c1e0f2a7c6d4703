import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Phase } from "../../../bench/load/phase.js";
import { createSchedule } from "../../../bench/load/schedule.js";
import { createTally } from "../../../bench/load/tally.js";

const PHASE: Phase = {
  name: "test",
  call: "get",
  population: { app: "bench", tokens: ["A".repeat(64)] },
  among: 1,
  order: "random",
  rate: 1_000,
  connections: 1,
  whenBusy: "wait",
  seconds: 1,
  window: 250,
};
const FOUND = { status: 200, bodyBytes: 100, hasRetryAfter: false };

test("calls are due at instants that the server's answers do not move", () => {
  const schedule = createSchedule(PHASE, 500);
  for (let call = 0; call < 1_000; call++) {
    // However late it is asked.
    assert.equal(schedule.due(10_000), 500 + call);
    assert.equal(schedule.isOver(10_000), false);
    assert.equal(schedule.take(), call);
  }
  assert.equal(schedule.isOver(10_000), true);
});

test("a phase that is ended has no call due from then on, but those due before", () => {
  const schedule = createSchedule({ ...PHASE, seconds: null }, 0);
  schedule.end(10);
  let calls = 0;
  for (; !schedule.isOver(1_000); calls++) schedule.take();
  assert.equal(calls, 10);
});

test("all sessions are called once each in turn, whatever the rate", () => {
  const phase = { ...PHASE, order: "each", among: 5, rate: null, seconds: null } as const;
  const schedule = createSchedule(phase, 0);
  const called = [];
  while (!schedule.isOver(7)) {
    assert.equal(schedule.due(7), 7);
    called.push(schedule.take());
  }
  assert.deepEqual(called, [0, 1, 2, 3, 4]);
});

test("each call of a phase is either made or passed over", () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 50 })), fc.integer({ min: 1, max: 5 }), (waits, most) => {
      const schedule = createSchedule({ ...PHASE, seconds: 0.5 }, 0);
      let now = 0;
      let counted = 0;
      const look = () => {
        let sent = 0;
        while (!schedule.isOver(now) && schedule.due(now) <= now) {
          if (sent++ < most) counted += schedule.take() >= 0 ? 1 : 0;
          else counted += schedule.skip(now);
        }
      };
      for (const wait of [...waits, 1_000]) {
        now += wait;
        look();
      }
      assert.equal(counted, 500);
      assert.equal(schedule.isOver(now), true);
    }),
  );
});

test("a stall is charged to all calls that were due in it, not to the one that met it", () => {
  const schedule = createSchedule(PHASE, 0);
  const tally = createTally(PHASE, 0);
  // One connection, to a server that answers at once but not between 100 and 300 ms.
  for (let now = 0; !schedule.isOver(now); ) {
    const due = schedule.due(now);
    now = Math.max(now, due);
    tally.sent(0);
    schedule.take();
    if (now >= 100 && now < 300) now = 300;
    tally.answered(FOUND, due, now);
  }
  const { accepted, longestGap, windows } = tally.result(1_000);
  assert.equal(accepted.count, 1_000);
  // 200 of 1,000 calls were due in the stall, evenly late by up to 200 ms.
  assert.ok(Math.abs(accepted.p99 - 190) < 2, `${accepted.p99}`);
  assert.ok(Math.abs(accepted.max - 200) < 1);
  assert.equal(accepted.p50, 0.001);
  assert.equal(longestGap, 201);
  assert.deepEqual(
    windows.map((window) => window.accepted.count),
    [250, 250, 250, 250],
  );
  assert.ok(Math.abs((windows[0]?.accepted.max ?? 0) - 200) < 2);
  assert.equal(windows[3]?.accepted.max, 0.001);
});

test("an answer is what was asked for, a refusal or a failure, and never two of them", () => {
  const tally = createTally(PHASE, 0);
  const answers = [
    FOUND,
    { ...FOUND, bodyBytes: 2 },
    { ...FOUND, status: 503, hasRetryAfter: true },
    { ...FOUND, status: 429 },
    { ...FOUND, status: 500 },
  ];
  for (const answer of answers) tally.answered(answer, 0, 1);
  tally.failed("closed");
  tally.withheld(3);
  const result = tally.result(1_000);
  assert.equal(result.accepted.count, 1);
  assert.equal(result.refused, 2);
  assert.equal(result.refusedWithRetryAfter, 1);
  assert.equal(result.withheld, 3);
  assert.deepEqual(result.failures, { "no such session": 1, "HTTP 500": 1, closed: 1 });
});
