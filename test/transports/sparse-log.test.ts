import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { LatchkeyError } from "../../src/domain/error.js";
import { createCalls } from "../../src/transports/calls.js";

test("calls that the store refuses for one reason are one line in 10 s, without a stack", async () => {
  let now = 0;
  const lines: string[] = [];
  const calls = createCalls({
    observer: { watch: () => () => {}, refused: () => {} },
    log: pino({ level: "info" }, { write: (line) => lines.push(line) }),
    clock: () => now,
  });
  const run = calls.of("grpc", "CreateSession");
  const cause = new Error("database or disk is full");
  const refuse = (message: string) =>
    run(() => Promise.reject(new LatchkeyError("unavailable", message, { cause })), undefined);
  const full = "the disk is full: nothing was written";
  for (let times = 0; times < 100; times++) await assert.rejects(async () => refuse(full));
  await assert.rejects(async () => refuse("the database is busy: try again"));
  now = 10_000;
  await assert.rejects(async () => refuse(full));
  const seen = lines.map((line) => JSON.parse(line));
  assert.deepEqual(
    seen.map(({ level, reason, count }) => ({ level, reason, count })),
    [
      { level: 40, reason: full, count: 1 },
      { level: 40, reason: "the database is busy: try again", count: 1 },
      { level: 40, reason: full, count: 100 },
    ],
  );
  assert.equal(seen[0].cause, cause.message);
  assert.doesNotMatch(lines.join(""), /stack|\bat /);
});
