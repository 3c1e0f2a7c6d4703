import assert from "node:assert/strict";
import { test } from "node:test";
import { numberOf, seedOf } from "../../support/random.js";
import { fuzz } from "./fuzz.js";
import { listParsers } from "./parsers.js";

for (const parser of listParsers()) {
  test(`any input is read or refused: ${parser.name} (short form)`, (t) => {
    assert.deepEqual(fuzz(parser, numberOf("TEST_RUNS", 5_000), seedOf(t)).problems, []);
  });
}

test("an input that a parser fails for is found", () => {
  const parse = (bytes: Buffer) => {
    if (bytes.length > 20) throw new RangeError("too long");
  };
  const { problems } = fuzz({ name: "a control", seeds: [Buffer.alloc(20)], parse }, 1_000, 1);
  assert.match(problems[0] ?? "", /RangeError: too long/);
});
