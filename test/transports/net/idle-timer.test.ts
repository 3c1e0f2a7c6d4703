import assert from "node:assert/strict";
import { test } from "node:test";
import { startIdleTimer } from "../../../src/transports/net/idle-timer.js";

test("an idle timer runs out, again after a restart, and not once it is stopped", async (t) => {
  // What keeps the process alive, as its timers do not.
  const alive = setTimeout(() => {}, 10_000);
  t.after(() => clearTimeout(alive));
  const ended: string[] = [];
  let wake = () => {};
  const next = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  const stopped = startIdleTimer(1, () => ended.push("stopped"));
  const timer = startIdleTimer(5, () => {
    ended.push("timer");
    wake();
  });
  stopped.stop();
  await next();
  timer.restart();
  await next();
  assert.deepEqual(ended, ["timer", "timer"]);
});
