import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFault, parseFaults } from "../../src/rke/devnet/fault.js";

test("a list of faults names each by its RAIDA server", () => {
  assert.deepEqual(
    parseFaults("0=lose, 7=delay:200,24=refuse"),
    new Map([
      [0, { kind: "lose", amount: 0 }],
      [7, { kind: "delay", amount: 200 }],
      [24, { kind: "refuse", amount: 1 }],
    ]),
  );
});

for (const [text, part] of [
  ["", /3=lose/],
  ["lose", /3=lose/],
  ["25=lose", /0 to 24/],
  ["-1=lose", /0 to 24/],
  ["3=", /3=lose/],
  ["3=lose,", /3=lose/],
  ["3=break", /one of lose, delay/],
  ["3=toString", /one of lose, delay/],
  ["3=lose:1", /lose takes no number/],
  ["3=delay:0", /delay takes 1 to 600000 \(milliseconds\)/],
  ["3=delay:-5", /one of/],
  ["3=refuse:250", /refuse takes 0 to 249/],
] as const) {
  test(`the list ${JSON.stringify(text)} is refused with what would be right`, () => {
    assert.throws(() => parseFaults(text), { code: "invalid", message: part });
  });
}

test("a count that is left out has a value of its own", () => {
  assert.deepEqual(parseFault("short-share"), { kind: "short-share", amount: 1 });
});
