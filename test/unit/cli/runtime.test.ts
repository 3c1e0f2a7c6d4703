import assert from "node:assert/strict";
import { test } from "node:test";
import { isTooOld, missingFlags, OLDEST_NODE, SERVER_FLAGS } from "../../../src/cli/runtime.js";

test("a Node is too old before 22.14, by the numbers of its version", () => {
  for (const version of ["20.20.2", "22.13.1", "22.2.0", "9.99.9"]) assert.ok(isTooOld(version));
  for (const version of ["22.14.0", "22.23.5", "24.0.0", "26.12.1", "100.0.0"])
    assert.ok(!isTooOld(version), version);
});

test("the package wants the Node that the program checks for", async () => {
  const { engines } = (await import("../../../package.json", { with: { type: "json" } })).default;
  assert.deepEqual(engines, { node: `>=${OLDEST_NODE}` });
});

test("the tests run on the pinned Node, or on the one that the run names", async () => {
  const { optionalDependencies } = (
    await import("../../../runtime/package.json", { with: { type: "json" } })
  ).default;
  const pinned = new Set(Object.values(optionalDependencies));
  assert.equal(pinned.size, 1, "one version for all machines");
  const [version] = pinned;
  assert.equal(process.versions.node, process.env["TEST_NODE"] ?? version);
});

test("a server's flags stand beside those that Node was given, not against them", () => {
  assert.deepEqual(missingFlags([]), SERVER_FLAGS);
  assert.deepEqual(missingFlags([...SERVER_FLAGS, "--inspect"]), []);
  const [first, ...others] = SERVER_FLAGS;
  assert.equal(first, "--max-semi-space-size=8");
  assert.deepEqual(missingFlags(["--max_semi_space_size=32"]), others);
});
