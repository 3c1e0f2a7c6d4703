import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createRecencyOrder } from "../../../src/lib/recency.js";

test("sessions come the latest accessed first, those of one instant as they were added", () => {
  const session = fc.record({
    id: fc.uuid(),
    lastAccessedAt: fc.integer({ min: 0, max: 20 }),
  });
  fc.assert(
    fc.property(fc.array(fc.array(session, { maxLength: 30 }), { maxLength: 30 }), (pages) => {
      const order = createRecencyOrder();
      for (const page of pages) order.add(page);
      const sorted = pages.flat().toSorted((a, b) => b.lastAccessedAt - a.lastAccessedAt);
      assert.deepEqual(
        [...order.ids()],
        sorted.map(({ id }) => id),
      );
    }),
  );
});
