import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFolder } from "../support/process/server.js";
import { numberOf, seedOf } from "../support/random.js";
import { EARLY_ANSWERS } from "./controls.js";
import { torture } from "./kills.js";

const KILLS = numberOf("TEST_KILLS", 12);

test("what was answered outlives the killing of the server under load", async (t) => {
  const folder = await makeFolder(t);
  const options = { kills: KILLS, lanes: 2, seed: seedOf(t), folder, env: {}, killed: () => {} };
  const { kills, answered, unanswered, problems } = await torture(t, options);
  assert.deepEqual(problems, []);
  t.diagnostic(`${kills} kills, ${answered} calls answered, ${unanswered} writes not`);
  // Else the load was none, or the kills came between the calls.
  assert.ok(answered > kills * 20, `only ${answered} calls were answered`);
  assert.ok(unanswered > kills, `only ${unanswered} writes were in flight at a kill`);
});

test("a server that answers before the disk has it does not pass", async (t) => {
  const folder = await makeFolder(t);
  const options = { kills: 10, lanes: 1, seed: seedOf(t), folder, killed: () => {} };
  const { problems } = await torture(t, { ...options, env: EARLY_ANSWERS });
  assert.ok(problems.length > 0);
});
