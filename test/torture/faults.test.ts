import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makeFolder } from "../support/process/server.js";
import { without } from "../support/process/tools.js";
import { numberOf, seedOf } from "../support/random.js";
import { meetFaults } from "./faults.js";
import { readLedger } from "./ledger.js";

const POINTS = numberOf("TEST_FAULTS", 14);

describe("a store whose disk fails or is full", { skip: without("strace") }, () => {
  test("answers no write that is not there after a restart", async (t) => {
    const folder = await makeFolder(t);
    const options = { points: POINTS, lanes: 2, seed: seedOf(t), folder, met: () => {} };
    const { problems, ...counts } = await meetFaults(t, options);
    assert.deepEqual(problems, []);
    t.diagnostic(JSON.stringify(counts));
    assert.ok(counts.answered > 0 && counts.refused + counts.unknown > 0);
  });

  test("is found out if it ignores that", async (t) => {
    const folder = await makeFolder(t);
    const options = { points: 20, lanes: 2, seed: seedOf(t), folder, met: () => {} };
    const { problems } = await meetFaults(t, { ...options, way: "ignores failures" });
    assert.ok(problems.length > 0);
  });
});

test("a write that is answered after the store failed is found out", () => {
  const lines = ["ask 1 0 0", "unknown 1", "fatal", "ask 2 0 0", "done 2"];
  assert.deepEqual(readLedger(lines).problems, [
    "session 2: a write was answered after the store failed",
  ]);
  assert.deepEqual(readLedger(["ask 1 0 0", "unknown 1"]).problems, [
    "an uncertain write, and no failure",
  ]);
});
