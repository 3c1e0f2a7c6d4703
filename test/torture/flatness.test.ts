import assert from "node:assert/strict";
import { test } from "node:test";
import { flatness } from "./flatness.js";

/** Samples of half an hour, in which one value is what `at` says. */
function samples(at: (seconds: number) => number) {
  return Array.from({ length: 180 }, (_, index) => {
    const seconds = index * 10;
    return { seconds, rss: at(seconds), heap: 50, log: 16, descriptors: 40 };
  });
}

test("memory that fills at first, and teeth, are flat", () => {
  const filling = samples((seconds) => Math.min(400, 100 + seconds));
  assert.deepEqual(flatness(filling).grown, []);
  const teeth = samples((seconds) => 200 + (seconds % 70));
  assert.deepEqual(flatness(teeth).grown, []);
});

test("a steady leak is not", () => {
  const { grown } = flatness(samples((seconds) => 200 + seconds / 10));
  assert.deepEqual(grown, ["rss is not flat: it grew by 119.00"]);
});

test("what could not be measured is not flat either", () => {
  assert.equal(flatness(samples(() => Number.NaN)).grown.length, 1);
});
