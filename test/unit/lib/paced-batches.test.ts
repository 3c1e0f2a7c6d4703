import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inPacedBatches } from "../../../src/lib/paced-batches.js";

describe("work in batches", () => {
  test("rests between two batches so many times as long as the one before took, and not after the last", async () => {
    const times = [5, 30, 1];
    const done: string[] = [];
    let now = 1_000;
    await inPacedBatches(
      async () => {
        const took = times.shift() ?? assert.fail("it goes on");
        now += took;
        done.push(`works ${took}`);
        return times.length > 0;
      },
      {
        clock: () => now,
        rests: 2,
        pause: async (milliseconds) => {
          now += milliseconds;
          done.push(`rests ${milliseconds}`);
        },
      },
    );
    assert.deepEqual(done, ["works 5", "rests 10", "works 30", "rests 60", "works 1"]);
  });

  test("lets others at work between two batches that took no time", async () => {
    let left = 3;
    let turns = 0;
    const count = () => {
      turns++;
      if (left > 0) setImmediate(count);
    };
    setImmediate(count);
    await inPacedBatches(async () => --left > 0, { clock: () => 0 });
    assert.ok(turns >= 2);
  });

  test("ends with the failure of a batch", () =>
    assert.rejects(
      inPacedBatches(
        async () => {
          throw new Error("no disk");
        },
        { clock: () => 0 },
      ),
      /no disk/,
    ));
});
