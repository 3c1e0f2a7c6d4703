import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createEntry, type Entry } from "../../../src/stores/sqlite/cache/entry.js";
import { createTouchedEntries } from "../../../src/stores/sqlite/cache/touched-entries.js";
import { createMint } from "../../support/stores/fixture.js";

const COUNT = 6;

describe("touched entries", () => {
  test("they are those that were added and not removed since, each once", () => {
    const command = fc.record({
      what: fc.constantFrom("add", "remove", "all"),
      index: fc.nat(COUNT - 1),
    });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const mint = createMint();
        const entries = Array.from({ length: COUNT }, (_, row) =>
          createEntry({ row, ...mint(), dataBytes: 2, spare: null }),
        );
        const touched = createTouchedEntries();
        const model = new Set<Entry>();
        for (const { what, index } of commands) {
          const entry = entries[index];
          assert.ok(entry);
          if (what === "add") {
            assert.equal(touched.add(entry), !model.has(entry));
            model.add(entry);
          } else if (what === "remove") {
            assert.equal(touched.remove(entry), model.delete(entry));
          } else {
            const rows = touched.all().map(({ row }) => row);
            assert.deepEqual(rows.sort(), [...model].map(({ row }) => row).sort());
          }
          assert.equal(touched.size(), model.size);
        }
      }),
    );
  });
});
