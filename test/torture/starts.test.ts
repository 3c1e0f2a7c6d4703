import assert from "node:assert/strict";
import { test } from "node:test";
import { seedOf } from "../process/random.js";
import { makeFolder } from "../process/server.js";

import { startOften } from "./starts.js";

test("a server that is started and stopped under load again and again ends by itself each time", async (t) => {
  const report = await startOften(t, {
    ...{ starts: 5, seed: seedOf(t), folder: await makeFolder(t), started: () => {} },
  });
  assert.deepEqual(report.problems, []);
  assert.ok(report.answered > 0);
});
