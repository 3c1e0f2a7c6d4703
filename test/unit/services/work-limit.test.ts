import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LatchkeyError } from "../../../src/domain/error.js";
import { createWorkLimit } from "../../../src/services/work-limit.js";

const isRefusal = (error: unknown) => error instanceof LatchkeyError && error.code === "limit";

/** Lets everything that is ready to run, run. */
const settle = () => new Promise(setImmediate);

test("work runs in the order it came, never more at a time than allowed, and no more waits", () =>
  fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 0, max: 3 }),
      fc.array(fc.constantFrom("come", "end", "fail"), { maxLength: 30 }),
      async (running, waiting, steps) => {
        const limited = createWorkLimit({ running, waiting });
        const inside: { number: number; end: () => void; fail: () => void }[] = [];
        const started: number[] = [];
        const outcomes: Promise<unknown>[] = [];
        // What the limit is to do, said in another way.
        const expected: number[] = [];
        let queued: number[] = [];
        let active = 0;
        for (const [number, step] of steps.entries()) {
          if (step === "come") {
            const outcome = limited(
              () =>
                new Promise<number>((resolve, reject) => {
                  started.push(number);
                  inside.push({
                    number,
                    end: () => resolve(number),
                    fail: () => reject(new Error(`${number}`)),
                  });
                }),
            );
            if (active === running && queued.length === waiting) {
              await assert.rejects(outcome, isRefusal);
            } else {
              outcomes.push(outcome.catch((error: Error) => error.message));
              if (active === running) queued.push(number);
              else {
                active++;
                expected.push(number);
              }
            }
          } else {
            const work = inside.shift();
            if (!work) continue;
            work[step]();
            const [next, ...rest] = queued;
            if (next === undefined) active--;
            else expected.push(next);
            queued = rest;
          }
          await settle();
          assert.deepEqual(started, expected);
          assert.ok(inside.length <= running);
        }
        while (inside.length > 0) {
          inside.shift()?.end();
          await settle();
        }
        await Promise.all(outcomes);
        assert.equal(started.length, outcomes.length);
      },
    ),
    { numRuns: 200 },
  ));

test("an answer and an error are those of the work", async () => {
  const limited = createWorkLimit({ running: 1, waiting: 0 });
  assert.equal(await limited(async () => "answer"), "answer");
  const error = new Error("fault");
  await assert.rejects(
    limited(() => Promise.reject(error)),
    (thrown) => thrown === error,
  );
  assert.equal(await limited(async () => "again"), "again");
});
