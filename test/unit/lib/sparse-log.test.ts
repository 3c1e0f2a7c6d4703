import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { LatchkeyError } from "../../../src/domain/error.js";
import { createSparseLog } from "../../../src/lib/sparse-log.js";
import { createCalls } from "../../../src/transports/call/calls.js";

test("calls that the store refuses for one reason are one line in 10 s, without a stack", async () => {
  let now = 0;
  const lines: string[] = [];
  const calls = createCalls({
    observer: { watch: () => () => {}, refused: () => {} },
    logger: pino({ level: "info" }, { write: (line) => lines.push(line) }),
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

/** A sparse log whose lines are `kind count`, and `+others` if there are any. */
function setUp() {
  const trial = { now: 0, lines: [] as string[], leftOut: 0 };
  const log = createSparseLog<null>({
    clock: () => trial.now,
    emit: (kind, _latest, count, others) =>
      trial.lines.push(`${kind} ${count}${others > 0 ? ` +${others}` : ""}`),
    onLeftOut: () => trial.leftOut++,
  });
  const taken = () => trial.lines.splice(0);
  return { trial, log, taken };
}

test("what was counted is logged when its time comes, though nothing more happens", () => {
  const { trial, log, taken } = setUp();
  for (let times = 0; times < 100; times++) log.note("a", null);
  log.flush();
  assert.deepEqual(taken(), ["a 1"]);
  trial.now = 9_999;
  log.flush();
  assert.deepEqual(taken(), []);
  trial.now = 10_000;
  log.flush();
  log.flush();
  assert.deepEqual(taken(), ["a 99"]);
  assert.equal(trial.leftOut, 99);
});

test("the end does not wait for the time of what was counted", () => {
  const { log, taken } = setUp();
  for (let times = 0; times < 3; times++) log.note("a", null);
  log.flush(true);
  assert.deepEqual(taken(), ["a 1", "a 2"]);
});

test("however many kinds there are, lines are 20 at once and then 5 a second, and none is lost", () => {
  const { trial, log, taken } = setUp();
  for (let kind = 0; kind < 100; kind++) log.note(`${kind}`, null);
  assert.equal(taken().length, 20);
  for (let second = 1; second <= 16; second++) {
    trial.now = second * 1_000;
    log.flush();
    assert.deepEqual(
      taken(),
      [0, 1, 2, 3, 4].map((at) => `${15 + second * 5 + at} 1`),
    );
  }
  log.flush();
  assert.deepEqual(taken(), []);
});

test("kinds beyond 1,000 are summed up as others", () => {
  const { trial, log, taken } = setUp();
  for (let kind = 0; kind < 5_000; kind++) log.note(`${kind}`, null);
  assert.equal(taken().length, 20);
  trial.now = 1_000;
  log.flush();
  assert.equal(taken()[0], "4000 1 +3980");
});
