import assert from "node:assert/strict";
import { test } from "node:test";
import { LatchkeyError } from "../../src/domain/error.js";
import { allocateLocked } from "../../src/rke/locked-memory.js";
import { createRing, idOf, keyOf, openSession, originOf } from "../support/rke/ring.js";

const hex = (...numbers: (string | number)[]) =>
  numbers.map((number) => keyOf(number).toString("hex")).sort();
const keyIn = (ring: ReturnType<typeof createRing>, number: number, now: number) =>
  ring.keyring.use(idOf(number), now, (key) => key.toString("hex"));

test("memory for all keys is allocated once, zeroed, and locked", () => {
  const ring = createRing({ slots: 4, cachedKeys: 3 });
  for (let number = 0; number < 20; number++) {
    openSession(ring, number);
    ring.keyring.delete(idOf(number), 0);
  }
  assert.deepEqual(
    ring.memories.map(({ length }) => length),
    [7 * 32],
  );
  assert.deepEqual(ring.keysInMemory(), []);
  assert.deepEqual(ring.warnings, []);
  assert.equal(allocateLocked(32).isLocked, true);
});

test("where memory cannot be locked, one warning says what to raise", () => {
  const allocate = (size: number) => ({ ...allocateLocked(size), isLocked: false });
  const { warnings } = createRing({ allocate });
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /RLIMIT_MEMLOCK/);
});

test("a session is found with its key and everything that is known of it", () => {
  const ring = createRing();
  const opened = openSession(ring, 1, 5);
  assert.deepEqual(opened, {
    id: idOf(1),
    origin: originOf("1.example"),
    createdAt: 5,
    expiresAt: 1_005,
    usage: { encrypts: 0, decrypts: 0 },
  });
  assert.deepEqual(ring.keyring.get(idOf(1), 5), opened);
  assert.deepEqual(ring.keyring.list(5), [opened]);
  assert.equal(keyIn(ring, 1, 5), hex(1)[0]);
  assert.equal(ring.keyring.get(idOf(2), 5), null);
});

test("the key is read in place: what `use` gets is the locked memory itself", () => {
  const ring = createRing();
  openSession(ring, 1);
  const [memory] = ring.memories;
  ring.keyring.use(idOf(1), 0, (key) => assert.equal(key.buffer, memory?.buffer));
});

test("a full ring gives no place until a session is deleted or expires", () => {
  const ring = createRing({ slots: 2 });
  openSession(ring, 1, 0);
  openSession(ring, 2, 500);
  assert.equal(ring.keyring.reserve(500), null);
  ring.keyring.delete(idOf(2), 500);
  assert.ok(openSession(ring, 3, 500));
  assert.equal(ring.keyring.reserve(999), null);
  // Unswept, the expired one gives its place up.
  assert.ok(openSession(ring, 4, 1_000));
  assert.deepEqual(ring.keysInMemory(), hex(3, 4));
});

test("a place that is kept for an exchange counts as taken, and is zeroed when given back", () => {
  const ring = createRing({ slots: 1 });
  const slot = ring.keyring.reserve(0);
  slot?.key.fill(7);
  assert.equal(ring.keyring.reserve(0), null);
  assert.deepEqual(ring.keyring.stats(), { slots: 1, sessions: 0, reserved: 1, cachedKeys: 0 });
  slot?.release();
  slot?.release();
  assert.deepEqual(ring.keysInMemory(), []);
  assert.deepEqual(ring.keyring.stats(), { slots: 1, sessions: 0, reserved: 0, cachedKeys: 0 });
});

test("giving back a place that became a session does nothing", () => {
  const ring = createRing();
  const slot = ring.keyring.reserve(0) ?? assert.fail();
  keyOf(1).copy(slot.key);
  slot.open(idOf(1), originOf("1.example"), { createdAt: 0, expiresAt: 1_000 });
  slot.release();
  assert.equal(keyIn(ring, 1, 0), hex(1)[0]);
});

test("from the instant at which it expires a session is refused, swept or not", () => {
  for (const ask of ["get", "delete", "use", "list"] as const) {
    const ring = createRing();
    openSession(ring, 1);
    assert.notEqual(ring.keyring.get(idOf(1), 999), null);
    if (ask === "use") assert.equal(keyIn(ring, 1, 1_000), null);
    else if (ask === "list") assert.deepEqual(ring.keyring.list(1_000), []);
    else assert.equal(ring.keyring[ask](idOf(1), 1_000), null);
  }
});

test("a key is zeroed on deletion, on expiry when swept, and at the close", async () => {
  const ring = createRing();
  for (const [number, createdAt] of [
    [1, 0],
    [2, 0],
    [3, 500],
  ] as const) {
    openSession(ring, number, createdAt);
  }
  ring.keyring.remember(originOf("kept.example"), keyOf("kept"), 5_000);
  assert.deepEqual(ring.keysInMemory(), hex(1, 2, 3, "kept"));
  ring.keyring.delete(idOf(1), 0);
  assert.deepEqual(ring.keysInMemory(), hex(2, 3, "kept"));
  await ring.keyring.sweep(1_000);
  assert.deepEqual(ring.keysInMemory(), hex(3, "kept"));
  ring.keyring.close();
  assert.deepEqual(ring.keysInMemory(), []);
  ring.keyring.close();
});

test("after the close nothing is found, kept or made, and what an exchange writes late is zeroed", () => {
  const ring = createRing();
  openSession(ring, 1);
  const slot = ring.keyring.reserve(0) ?? assert.fail();
  ring.keyring.close();
  keyOf("late").copy(slot.key);
  assert.throws(
    () => slot.open(idOf(2), originOf("late.example"), { createdAt: 0, expiresAt: 1_000 }),
    (error) => error instanceof LatchkeyError && error.code === "unavailable",
  );
  slot.release();
  ring.keyring.remember(originOf("late.example"), keyOf("late"), 5_000);
  assert.equal(ring.keyring.get(idOf(1), 0), null);
  assert.equal(ring.keyring.reserve(0), null);
  assert.deepEqual(ring.keysInMemory(), []);
});

test("a kept key is a copy, recalled until it expires and zeroed when it is forgotten", async () => {
  const ring = createRing();
  const original = Buffer.from(keyOf("a"));
  const origin = originOf("a.example");
  ring.keyring.remember(origin, original, 1_000);
  original.fill(0);
  const into = Buffer.alloc(32);
  assert.equal(ring.keyring.recall("a.example", 999, into), origin);
  assert.deepEqual(into, keyOf("a"));
  into.fill(0);
  assert.equal(ring.keyring.recall("b.example", 0, into), null);
  assert.equal(ring.keyring.recall("a.example", 1_000, into), null);
  assert.deepEqual(into, Buffer.alloc(32));
  assert.deepEqual(ring.keysInMemory(), []);

  ring.keyring.remember(origin, keyOf("a"), 1_000);
  ring.keyring.forget("a.example");
  assert.deepEqual(ring.keysInMemory(), []);

  ring.keyring.remember(origin, keyOf("a"), 1_000);
  await ring.keyring.sweep(1_000);
  assert.deepEqual(ring.keysInMemory(), []);
});

test("there are as many kept keys as were asked for: the one that expires first goes", () => {
  const ring = createRing({ cachedKeys: 2 });
  ring.keyring.remember(originOf("a"), keyOf("a"), 3_000);
  ring.keyring.remember(originOf("b"), keyOf("b"), 2_000);
  ring.keyring.remember(originOf("c"), keyOf("c"), 4_000);
  assert.deepEqual(ring.keysInMemory(), hex("a", "c"));
  assert.equal(ring.keyring.stats().cachedKeys, 2);
  // A domain's new key takes the place of its old one.
  ring.keyring.remember(originOf("a"), keyOf("a2"), 5_000);
  assert.deepEqual(ring.keysInMemory(), hex("a2", "c"));

  const none = createRing({ cachedKeys: 0 });
  none.keyring.remember(originOf("a"), keyOf("a"), 3_000);
  assert.deepEqual(none.keysInMemory(), []);
});
