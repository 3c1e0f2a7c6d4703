import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { createRandomSource } from "../../../src/lib/random.js";

test("a random source hands out each byte drawn once, in order, whatever sizes are asked for", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 6_000 }), { maxLength: 20 }), (sizes) => {
      const drawn: number[] = [];
      const draw = (size: number) => {
        const bytes = randomBytes(size);
        drawn.push(...bytes);
        return bytes;
      };
      const random = createRandomSource(draw);
      let from = 0;
      for (const bytes of sizes.map((size) => random(size))) {
        // What a larger request could not use of a draw is passed over.
        const at = Buffer.from(drawn).indexOf(bytes, from);
        assert.ok(at >= from, "the bytes are the next ones of a draw");
        from = at + bytes.length;
      }
    }),
    { numRuns: 50 },
  );
});
