import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { ROOT } from "../../support/process/server.js";

/** Of sched(7). */
const [SCHED_OTHER, SCHED_IDLE] = [0, 5];

/** Prints niceness and policy of its main thread, by proc(5), before and after it gives way. */
const PROGRAM = `
  import { readFileSync } from "node:fs";
  import { workInBackground } from "./src/cli/background.ts";
  const scheduling = () => {
    const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1].split(" ");
    return [Number(fields[16]), Number(fields[38])];
  };
  const pace = workInBackground();
  const before = scheduling();
  pace.giveWay();
  process.stdout.write(JSON.stringify([before, scheduling()]));
`;

test("a process in the background has the lowest priority, and runs only when idle once it gives way", () => {
  const args = ["--import", "tsx", "--input-type=module", "-e", PROGRAM];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" });
  assert.equal(stderr, "");
  assert.deepEqual(JSON.parse(stdout), [
    [19, SCHED_OTHER],
    [19, SCHED_IDLE],
  ]);
});
