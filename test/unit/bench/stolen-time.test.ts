import assert from "node:assert/strict";
import { test } from "node:test";
import { readProcessorTime, stolenSince } from "../../../bench/measure/stolen-time.js";

test("stolen time is the host's share of all processors' time, guests not counted twice", () => {
  const before = readProcessorTime("cpu  100 0 50 800 10 0 20 20 90 0\ncpu0 1 2 3\n");
  assert.deepEqual(before, { total: 1_000, stolen: 20 });
  const after = readProcessorTime("cpu  150 0 60 810 10 0 25 45 140 0\n");
  assert.equal(stolenSince(before, after), 0.25);
  assert.equal(stolenSince(before, before), 0);
});

test("this machine's time passes, and no more of it is stolen than passed", () => {
  const before = readProcessorTime();
  assert.ok(before.total > 0);
  const share = stolenSince(before);
  assert.ok(share >= 0 && share <= 1, `${share}`);
});
