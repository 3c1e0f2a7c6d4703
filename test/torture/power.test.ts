import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makeFolder } from "../support/process/server.js";
import { without } from "../support/process/tools.js";
import { numberOf, seedOf } from "../support/random.js";
import { cutPower } from "./power-cuts.js";

const CUTS = numberOf("TEST_CUTS", 60);

describe("a power cut", { skip: without("strace") }, () => {
  test("at any moment, of a disk that failed before too, leaves all that was answered", async (t) => {
    const folder = await makeFolder(t);
    const { problems, answered, ...counts } = await cutPower(t, {
      ...{ cuts: CUTS, seed: seedOf(t), folder, cut: () => {} },
    });
    assert.deepEqual(problems, []);
    t.diagnostic(JSON.stringify({ answered, ...counts }));
    assert.ok(answered > 200 && counts.syncs > 50 && counts.failedSyncs > 0);
  });

  test("shows that a store which never syncs has lost what it answered", async (t) => {
    const folder = await makeFolder(t);
    const seed = seedOf(t);
    const way = "never syncs";
    const { problems } = await cutPower(t, { cuts: 40, seed, folder, way, cut: () => {} });
    assert.ok(problems.length > 0);
  });
});
