import assert from "node:assert/strict";
import { test } from "node:test";
import { createStrangerLog } from "../../../src/telemetry/stranger-log.js";

function setUp() {
  const trial = { now: 0, lines: [] as object[], leftOut: [] as string[] };
  const { warn, flush } = createStrangerLog({
    logger: { info: () => {}, warn: (fields, msg) => void trial.lines.push({ ...fields, msg }) },
    clock: () => trial.now,
    onLeftOut: (msg) => trial.leftOut.push(msg),
  });
  return { trial, warn, flush, taken: () => trial.lines.splice(0) };
}

const failure = (address: string, account?: string) => ({ account, address, reason: "wrong" });

test("each account and each address is logged at once, and what follows in a sum", () => {
  const { trial, warn, flush, taken } = setUp();
  for (let times = 0; times < 7; times++) {
    warn(failure("192.0.2.1", "ann"), "failed");
    warn(failure("192.0.2.2", "ann"), "failed");
    warn(failure("192.0.2.2"), "failed");
  }
  const first = [failure("192.0.2.1", "ann"), failure("192.0.2.2", "ann"), failure("192.0.2.2")];
  assert.deepEqual(
    taken(),
    first.map((fields) => ({ ...fields, msg: "failed" })),
  );
  assert.deepEqual(trial.leftOut, Array(18).fill("failed"));
  trial.now = 10_000;
  flush();
  assert.deepEqual(
    taken(),
    first.map((fields) => ({ ...fields, count: 6, msg: "failed" })),
  );
});

test("a peer's port and the rest of its IPv6 network make no kinds of their own", () => {
  const { warn, taken } = setUp();
  for (const [address, lines] of [
    ["192.0.2.1:1", 1],
    ["192.0.2.1:2", 0],
    ["[2001:db8::1]:1", 1],
    ["[2001:db8::2]:2", 0],
    ["2001:db8::3", 0],
    ["2001:db8:0:1::1", 1],
    ["unix:/run/a.sock", 1],
    ["unix:/run/b:1", 1],
  ] as const) {
    warn(failure(address), "failed");
    assert.equal(taken().length, lines, address);
  }
});

test("a flood of failures from everywhere holds up no failure of an account", () => {
  const { warn, taken } = setUp();
  for (let host = 0; host < 250; host++) warn(failure(`192.0.2.${host}`), "failed");
  assert.equal(taken().length, 20);
  warn(failure("198.51.100.1", "ann"), "failed");
  assert.equal(taken().length, 1);
});
