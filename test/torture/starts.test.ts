import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFolder } from "../support/process/server.js";
import { seedOf } from "../support/random.js";

import { startOften } from "./starts.js";

test("a server that is started and stopped under load again and again ends by itself each time", async (t) => {
  const report = await startOften(t, {
    ...{ starts: 5, seed: seedOf(t), folder: await makeFolder(t), started: () => {} },
  });
  assert.deepEqual(report.problems, []);
  assert.ok(report.answered > 0);
});
