import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AGREEMENT, createSteadyClock, TOLERANCE } from "../../../src/lib/steady-clock.js";
import { withDatabase } from "../../support/stores/database.js";
import { createTrial, MINUTE, NOW, runs, SECOND } from "../../support/stores/fixture.js";

/** One thing that happens, and milliseconds. */
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("pass" as const),
      by: fc.integer({ min: 1, max: 2 * AGREEMENT }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("jump" as const),
      by: fc.oneof(
        fc.integer({ min: -TOLERANCE, max: TOLERANCE }),
        fc.integer({ min: 3 * TOLERANCE, max: 48 * 60 * MINUTE }),
        fc.integer({ min: -48 * 60 * MINUTE, max: -3 * TOLERANCE }),
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("create" as const),
      by: fc.integer({ min: 10 * SECOND, max: 20 * MINUTE }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("touch" as const), by: fc.nat(20) }) },
);

/** How often the sweeper asks the clocks, at the least, in these runs. */
const SWEEP = 10 * SECOND;

test("whatever the wall clock does, no session that lives by the monotonic clock is removed", () =>
  fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) =>
      withDatabase(async ({ store, seen, inspect }) => {
        const { mint } = createTrial({ store, seen });
        const clocks = { monotonic: 0, wall: NOW };
        const steady = createSteadyClock({
          now: () => clocks.wall,
          clock: () => clocks.monotonic,
          onJump: () => undefined,
          onAgreement(milliseconds) {
            // From here on the wall clock is right, and they die by it.
            if (milliseconds !== 0) made.length = 0;
          },
        });
        /** Sessions made, and when each dies by the monotonic clock. */
        const made: { id: string; hash: ReturnType<typeof mint>["tokenHash"]; dies: number }[] = [];
        let jumpedAt = Number.NEGATIVE_INFINITY;
        /** Milliseconds by which corrections that are no jumps moved time. */
        let corrected = 0;
        const rows = () =>
          new Set(
            inspect((db) =>
              db.prepare<[], string>("SELECT lower(hex(session_id)) FROM sessions").pluck().all(),
            ),
          );
        const sweep = async () => {
          for (;;) {
            const at = steady.removalTime();
            if (at === null || !(await store.sweep(at, 100))) return;
          }
        };
        for (const { do: what, by } of steps) {
          const before = rows();
          if (what === "jump") {
            clocks.wall += by;
            if (Math.abs(by) > TOLERANCE) jumpedAt = clocks.monotonic;
            else corrected += Math.abs(by);
            await sweep();
          } else if (what === "pass") {
            for (let left = by; left > 0; left -= SWEEP) {
              clocks.monotonic += Math.min(left, SWEEP);
              clocks.wall += Math.min(left, SWEEP);
              await sweep();
            }
          } else if (what === "create") {
            const at = steady.now();
            const minted = mint({ createdAt: at, idleTtl: by });
            await store.create(minted.session, minted.tokenHash);
            const id = minted.session.id.replaceAll("-", "");
            made.push({ id, hash: minted.tokenHash, dies: clocks.monotonic + by });
            continue;
          } else {
            const one = made[by % Math.max(made.length, 1)];
            const at = steady.now();
            const read = one && (await store.touch("shop", one.hash, at));
            if (one && read) {
              assert.ok(read.after.lastAccessedAt <= at, "a touch lies in the future");
              one.dies = clocks.monotonic + read.after.idleTtl;
            }
          }
          const after = rows();
          if (jumpedAt + AGREEMENT > clocks.monotonic) assert.deepEqual(after, before);
          for (const { id, dies } of made) {
            if (dies - corrected > clocks.monotonic) assert.ok(after.has(id), `${id} was removed`);
          }
        }
      }),
    ),
    { numRuns: runs(30) },
  ));
