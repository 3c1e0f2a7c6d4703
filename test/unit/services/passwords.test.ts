import assert from "node:assert/strict";
import { test } from "node:test";
import * as argon2 from "@node-rs/argon2";
import { LatchkeyError } from "../../../src/domain/error.js";
import { createPasswords } from "../../../src/services/logins/passwords.js";

const PASSWORD = "correct horse battery";

test("a hash is argon2id with the parameters that OWASP asks for, and a salt of its own", async () => {
  const passwords = createPasswords();
  const hashes = [await passwords.hash(PASSWORD), await passwords.hash(PASSWORD)];
  for (const hash of hashes) {
    assert.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[^$]{22}\$[^$]{43}$/);
    assert.ok(!hash.includes(PASSWORD));
  }
  assert.notEqual(hashes[0], hashes[1]);
});

test("a password is its hash's, and no other", async () => {
  const passwords = createPasswords();
  const hash = await passwords.hash(PASSWORD);
  assert.equal(await passwords.verify(hash, PASSWORD), true);
  for (const other of [`${PASSWORD} `, PASSWORD.toUpperCase(), "", "x".repeat(100_000)]) {
    assert.equal(await passwords.verify(hash, other), false);
  }
});

test("a password may be composed in either way that looks the same", async () => {
  const passwords = createPasswords();
  const hash = await passwords.hash("caf\u00e9 au lait");
  assert.equal(await passwords.verify(hash, "cafe\u0301 au lait"), true);
});

test("without a hash no password is right, and finding out is as much work", async () => {
  const passwords = createPasswords();
  const known = await passwords.hash(PASSWORD);
  /** Microseconds of processor time, whoever else uses the machine. */
  const workOf = async (hash: string | null) => {
    const before = process.cpuUsage();
    for (let round = 0; round < 5; round++) {
      assert.equal(await passwords.verify(hash, "wrong password"), false);
    }
    return process.cpuUsage(before).user;
  };
  await workOf(known); // The first has threads to start and code to compile.
  const work = await workOf(known);
  assert.ok((await workOf(null)) > work / 2);
  assert.equal(await passwords.verify(null, ""), false);
});

test("a hash of other parameters is accepted, and named as one to be renewed", async () => {
  const passwords = createPasswords();
  const weak = await argon2.hash(PASSWORD, { memoryCost: 8_192, timeCost: 1, parallelism: 1 });
  const other = await argon2.hash(PASSWORD, { memoryCost: 19_456, algorithm: 1, timeCost: 2 });
  for (const hash of [weak, other]) {
    assert.equal(await passwords.verify(hash, PASSWORD), true);
    assert.equal(passwords.needsRehash(hash), true);
  }
  assert.equal(passwords.needsRehash(await passwords.hash(PASSWORD)), false);
});

test("the event loop runs while passwords are checked", async () => {
  const passwords = createPasswords();
  const hash = await passwords.hash(PASSWORD);
  let turns = 0;
  let isDone = false;
  const checks = Promise.all([1, 2, 3].map(() => passwords.verify(hash, PASSWORD))).then(() => {
    isDone = true;
  });
  while (!isDone) {
    await new Promise(setImmediate);
    turns++;
  }
  await checks;
  // A check that ran on the loop would let it turn once or twice for each.
  assert.ok(turns > 30, `${turns} turns`);
});

test("of many checks at once, those beyond the places are refused, and all others answered", async () => {
  const passwords = createPasswords({ running: 2, waiting: { known: 64, strangers: 0 } });
  const hash = await passwords.hash(PASSWORD);
  const checks = Array.from({ length: 70 }, (_, at) =>
    passwords.verify(hash, at % 2 === 0 ? PASSWORD : "wrong"),
  );
  const outcomes = await Promise.allSettled(checks);
  for (const [at, outcome] of outcomes.entries()) {
    if (at < 66) {
      assert.deepEqual(outcome, { status: "fulfilled", value: at % 2 === 0 });
    } else {
      assert.equal(outcome.status, "rejected");
      assert.ok(outcome.reason instanceof LatchkeyError && outcome.reason.code === "limit");
    }
  }
});
