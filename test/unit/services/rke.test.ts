import assert from "node:assert/strict";
import { createDecipheriv, randomBytes } from "node:crypto";
import { test } from "node:test";
import { type ErrorCode, LatchkeyError } from "../../../src/domain/error.js";
import type { KeyringOptions } from "../../../src/rke/keyring.js";
import { createRke, EXCHANGE_CODES, type RkeOptions } from "../../../src/services/rke/rke.js";
import { createFakeExchange, DERIVED, WALLET } from "../../support/rke/fake-exchange.js";
import { createRing } from "../../support/rke/ring.js";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOTHING = new Uint8Array(0);

/** The use cases over a real keyring and exchanges without a network. */
function createTrial(options: Partial<RkeOptions> = {}, ringOptions: Partial<KeyringOptions> = {}) {
  const ring = createRing({ slots: 16, cachedKeys: 16, ...ringOptions });
  const exchange = createFakeExchange();
  const outcomes: string[] = [];
  const work: unknown[] = [];
  let now = 1_000_000;
  const rke = createRke({
    keyring: ring.keyring,
    exchange,
    now: () => now,
    clock: () => 0,
    randomBytes,
    sessionTtl: HOUR,
    keyCacheTtl: DAY,
    observer: {
      exchanged: (outcome) => outcomes.push(outcome),
      ciphered: (...done) => work.push(done),
    },
    ...options,
  });
  return {
    ...ring,
    exchange,
    rke,
    outcomes,
    work,
    now: () => now,
    advance(milliseconds: number) {
      now += milliseconds;
    },
    create: (domain = "cs.example", walletPath = WALLET) => rke.create({ domain, walletPath }),
  };
}

type Trial = ReturnType<typeof createTrial>;

const isRefused =
  (code: ErrorCode, field?: string, reason?: string) =>
  (error: unknown): true => {
    assert.ok(error instanceof LatchkeyError, String(error));
    assert.equal(error.code, code);
    assert.equal(error.violation?.field, field);
    assert.equal(error.facts?.["exchange_reason"], reason);
    return true;
  };

const item = (text: string, associatedData: Uint8Array = NOTHING) => ({
  plaintext: Buffer.from(text),
  associatedData,
});

/** Encrypts one text and answers what came of it. */
function encryptOne({ rke }: Trial, sessionId: string, text: string, cipher: Cipher = GCM) {
  const [result] = rke.encrypt({ sessionId, cipher, items: [item(text)] });
  if (!result || result instanceof LatchkeyError) throw result;
  return { ...result, associatedData: NOTHING };
}

const GCM = "aes-256-gcm";
const CTR = "aes-256-ctr";
type Cipher = typeof GCM | typeof CTR;

test("a session has an id of 32 lower-case digits, its domain, and an hour to live", async () => {
  const trial = createTrial();
  const { session, fromCache } = await trial.create("CS.Example.");
  assert.match(session.id, /^[0-9a-f]{32}$/);
  assert.deepEqual(session, {
    id: session.id,
    origin: { ...DERIVED, domain: "cs.example", usage: { gcmMessages: 0 } },
    createdAt: trial.now(),
    expiresAt: trial.now() + HOUR,
    usage: { encrypts: 0, decrypts: 0 },
  });
  assert.equal(fromCache, false);
  assert.deepEqual(trial.rke.get(session.id), session);
  assert.deepEqual(trial.rke.list(), { sessions: [session], total: 1 });
});

test("it lives for an hour from when its key was there, and not a millisecond longer", async () => {
  const trial = createTrial();
  const release = trial.exchange.hold();
  const creating = trial.create();
  trial.advance(5_000);
  release();
  const { session } = await creating;
  assert.equal(session.expiresAt, trial.now() + HOUR);
  trial.advance(HOUR - 1);
  assert.ok(trial.rke.get(session.id));
  trial.advance(1);
  const asks = [
    () => trial.rke.get(session.id),
    () => trial.rke.delete(session.id),
    () => trial.rke.encrypt({ sessionId: session.id, cipher: GCM, items: [item("a")] }),
  ];
  for (const ask of asks) assert.throws(ask, isRefused("not_found"));
  assert.deepEqual(trial.rke.list().sessions, []);
});

test("the next session of a domain has the key that was kept, until that expires", async () => {
  const trial = createTrial();
  const first = await trial.create();
  trial.advance(DAY - 1);
  const second = await trial.create();
  assert.deepEqual([first.fromCache, second.fromCache], [false, true]);
  assert.notEqual(first.session.id, second.session.id);
  trial.advance(1);
  const third = await trial.create();
  assert.equal(third.fromCache, false);
  assert.equal(trial.exchange.begun(), 2);
  const encrypted = encryptOne(trial, second.session.id, "of the first key");
  const [refused] = trial.rke.decrypt({
    sessionId: third.session.id,
    cipher: GCM,
    items: [encrypted],
  });
  assert.ok(refused instanceof LatchkeyError);
});

test("where no keys are kept, each session makes an exchange", async () => {
  const trial = createTrial({ keyCacheTtl: 0 });
  for (let count = 0; count < 3; count++) assert.equal((await trial.create()).fromCache, false);
  assert.equal(trial.exchange.begun(), 3);
});

test("deleting with forget_key has the next session make a new key; without, it does not", async () => {
  const trial = createTrial();
  const { session } = await trial.create();
  trial.rke.delete(session.id);
  assert.equal(trial.keysInMemory().length, 1);
  const { session: second, fromCache } = await trial.create();
  assert.ok(fromCache);
  trial.rke.delete(second.id, true);
  assert.deepEqual(trial.keysInMemory(), []);
  assert.equal((await trial.create()).fromCache, false);
});

for (const keyCacheTtl of [DAY, 0]) {
  test(`creates for one domain at once make one exchange, keys kept for ${keyCacheTtl} ms`, async () => {
    const trial = createTrial({ keyCacheTtl });
    const release = trial.exchange.hold();
    const creating = Array.from({ length: 16 }, () => trial.create());
    release();
    const made = await Promise.all(creating);
    assert.equal(trial.exchange.begun(), 1);
    assert.equal(new Set(made.map(({ session }) => session.id)).size, 16);
    const key = trial.exchange.keyOf("cs.example").toString("hex");
    assert.deepEqual([...new Set(trial.keysInMemory())], [key]);
    for (const { session } of made) {
      const sealed = encryptOne(trial, session.id, "a");
      assert.equal(open(Buffer.from(key, "hex"), sealed), "a");
    }
  });
}

test("creates for different domains make an exchange each", async () => {
  const trial = createTrial();
  const release = trial.exchange.hold();
  const creating = ["a.example", "b.example"].map((domain) => trial.create(domain));
  release();
  await Promise.all(creating);
  assert.equal(trial.exchange.begun(), 2);
});

test("a create whose wallet is good does not fail for one whose wallet is not", async () => {
  const trial = createTrial();
  const release = trial.exchange.hold();
  const creating = ["/nowhere", WALLET, "/nowhere", WALLET].map((wallet) =>
    trial.create("cs.example", wallet),
  );
  release();
  const made = await Promise.allSettled(creating);
  assert.deepEqual(
    made.map(({ status }) => status),
    ["rejected", "fulfilled", "rejected", "fulfilled"],
  );
  assert.equal(trial.exchange.begun(), 2);
});

test("16 creates at once succeed, of 32 exactly 16 do, and a 17th later does not", async () => {
  for (const count of [16, 32]) {
    const trial = createTrial();
    const release = trial.exchange.hold();
    const creating = Array.from({ length: count }, (_, index) => trial.create(`${index}.example`));
    release();
    const made = await Promise.allSettled(creating);
    assert.equal(made.filter(({ status }) => status === "fulfilled").length, 16);
    for (const one of made) {
      if (one.status === "rejected") isRefused("limit")(one.reason);
    }
    await assert.rejects(trial.create(), isRefused("limit"));
    const [first] = trial.rke.list().sessions;
    trial.rke.delete(first?.id ?? "");
    await trial.create();
    await assert.rejects(trial.create(), isRefused("limit"));
    trial.advance(HOUR);
    await trial.create();
  }
});

for (const [reason, code] of Object.entries(EXCHANGE_CODES)) {
  test(`an exchange that fails for ${reason} is ${code}, and leaves no place taken and no key`, async () => {
    const trial = createTrial();
    const domain = `${reason.replaceAll("_", "-")}.fails.example`;
    const field = code === "invalid" ? "wallet_path" : undefined;
    await assert.rejects(trial.create(domain), isRefused(code, field, reason));
    await assert.rejects(trial.rke.discover(domain), isRefused(code, field, reason));
    assert.deepEqual(trial.keysInMemory(), []);
    const { reserved, cachedKeys, sessions } = trial.keyring.stats();
    assert.deepEqual([reserved, cachedKeys, sessions], [0, 0, 0]);
    assert.deepEqual(trial.outcomes, [reason]);
  });
}

test("a fault of an exchange is passed on as it is, and leaves no place taken and no key", async () => {
  const trial = createTrial();
  await assert.rejects(trial.create("fault.fails.example"), /a fault inside/);
  assert.deepEqual(trial.keysInMemory(), []);
  assert.equal(trial.keyring.stats().reserved, 0);
  assert.deepEqual(trial.outcomes, ["fault"]);
});

test("an exchange that ends after the close leaves no key", async () => {
  const trial = createTrial();
  const release = trial.exchange.hold();
  const creating = [trial.create(), trial.create()];
  trial.keyring.close();
  release();
  for (const one of creating) await assert.rejects(one, isRefused("unavailable"));
  assert.deepEqual(trial.keysInMemory(), []);
});

test("fields out of their range are refused by name before anything happens", async () => {
  const trial = createTrial();
  const { session } = await trial.create();
  const sessionId = session.id;
  for (const domain of [
    "",
    ".",
    "a..b",
    "-a.example",
    "a b",
    "a/b",
    `${"a".repeat(64)}.x`,
    "é.x",
  ]) {
    await assert.rejects(trial.create(domain), isRefused("invalid", "domain"), domain);
    await assert.rejects(trial.rke.discover(domain), isRefused("invalid", "domain"));
  }
  await assert.rejects(trial.create("a.example", ""), isRefused("invalid", "wallet_path"));
  for (const id of ["", "a", "A".repeat(32), "g".repeat(32), `${"a".repeat(32)}\n`]) {
    assert.throws(() => trial.rke.get(id), isRefused("invalid", "session_id"));
    assert.throws(() => trial.rke.delete(id), isRefused("invalid", "session_id"));
  }
  for (const length of [0, 1_001]) {
    const items = Array.from({ length }, () => item("a"));
    assert.throws(
      () => trial.rke.encrypt({ sessionId, cipher: GCM, items }),
      isRefused("invalid", "items"),
    );
  }
  assert.equal(trial.exchange.begun(), 1);
});

/** Opens GCM without the project's own code. */
function open(key: Buffer, { ciphertext, nonce }: { ciphertext: Buffer; nonce: Uint8Array }) {
  const decipher = createDecipheriv(GCM, key, nonce);
  decipher.setAuthTag(ciphertext.subarray(-16));
  return decipher.update(ciphertext.subarray(0, -16), undefined, "utf8") + decipher.final("utf8");
}

for (const [cipher, nonceBytes, more] of [
  [GCM, 12, 16],
  [CTR, 16, 0],
] as const satisfies [Cipher, number, number][]) {
  test(`${cipher} encrypts a batch, each item under a nonce of its own, and decrypts it`, async () => {
    const trial = createTrial();
    const { session } = await trial.create();
    const texts = ["", "a", "a", "사용자", "x".repeat(100_000)];
    const sealed = texts.map((text) => encryptOne(trial, session.id, text, cipher));
    for (const [index, { nonce, ciphertext }] of sealed.entries()) {
      assert.equal(nonce.length, nonceBytes);
      assert.equal(ciphertext.length, Buffer.byteLength(texts[index] ?? "") + more);
    }
    assert.equal(new Set(sealed.map(({ nonce }) => Buffer.from(nonce).toString("hex"))).size, 5);
    const opened = trial.rke.decrypt({ sessionId: session.id, cipher, items: sealed });
    assert.deepEqual(opened.map(String), texts);
    const { usage } = trial.rke.get(session.id);
    assert.deepEqual(usage, { encrypts: 5, decrypts: 5 });
    assert.deepEqual(trial.work.at(-1), ["decrypt", cipher, 5, 100_000 + 9 + 2]);
  });
}

test("each item of a batch has its own result or error, and only results are counted", async () => {
  const trial = createTrial();
  const { session } = await trial.create();
  const sessionId = session.id;
  const good = encryptOne(trial, sessionId, "good");
  const altered = Buffer.from(good.ciphertext);
  altered[0] = (altered[0] ?? 0) ^ 1;
  const results = trial.rke.decrypt({
    sessionId,
    cipher: GCM,
    items: [
      { ...good, ciphertext: altered },
      good,
      { ...good, nonce: NOTHING },
      { ...good, ciphertext: good.ciphertext.subarray(0, 15) },
      { ...good, associatedData: Buffer.from("other") },
    ],
  });
  assert.deepEqual(
    results.map((result) =>
      result instanceof LatchkeyError ? result.violation?.field : result.toString(),
    ),
    ["ciphertext", "good", "nonce", "ciphertext", "ciphertext"],
  );
  const [unauthenticated] = trial.rke.encrypt({
    sessionId,
    cipher: CTR,
    items: [item("a", Buffer.from("data"))],
  });
  isRefused("invalid", "associated_data")(unauthenticated);
  assert.deepEqual(trial.rke.get(sessionId).usage, { encrypts: 1, decrypts: 1 });
});

test("a key encrypts so many GCM messages and no more, by whichever session", async () => {
  const trial = createTrial({ gcmMessages: 3 });
  const [{ session: first }, { session: second }] = [await trial.create(), await trial.create()];
  encryptOne(trial, first.id, "1");
  const results = trial.rke.encrypt({
    sessionId: second.id,
    cipher: GCM,
    items: [item("2"), item("3"), item("4")],
  });
  assert.deepEqual(
    results.map((result) => result instanceof LatchkeyError && result.code),
    [false, false, "limit"],
  );
  assert.throws(() => encryptOne(trial, first.id, "4"), isRefused("limit"));
  // CTR is not bound by it, nor is the next key.
  encryptOne(trial, first.id, "4", CTR);
  trial.rke.delete(first.id, true);
  const { session: third } = await trial.create();
  encryptOne(trial, third.id, "1");
});

test("by default a key encrypts 2^32 - 1 messages by GCM", async () => {
  const trial = createTrial();
  const { session } = await trial.create();
  trial.keyring.use(session.id, trial.now(), (_key, { usage }) => {
    usage.gcmMessages = 2 ** 32 - 2;
  });
  encryptOne(trial, session.id, "the last");
  assert.throws(() => encryptOne(trial, session.id, "one more"), isRefused("limit"));
});

test("encrypting while sessions are deleted succeeds under the right key, or finds no session", async () => {
  const trial = createTrial({ keyCacheTtl: 0 });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  let encrypted = 0;
  let refused = 0;
  for (let round = 0; round < 10_000; round++) {
    const { session } = await trial.create(`${round % 7}.example`);
    const key = trial.exchange.keyOf(session.origin.domain, Math.floor(round / 7) + 1);
    const encrypting = async (wait: number) => {
      for (let turns = 0; turns < wait; turns++) await (round % 50 === 0 ? turn() : null);
      try {
        assert.equal(open(key, encryptOne(trial, session.id, "secret")), "secret");
        encrypted++;
      } catch (error) {
        isRefused("not_found")(error);
        refused++;
      }
    };
    const deleting = async () => {
      for (let turns = 0; turns < round % 4; turns++) await (round % 50 === 0 ? turn() : null);
      trial.rke.delete(session.id);
    };
    await Promise.all([encrypting(round % 3), deleting(), encrypting(round % 5)]);
  }
  assert.equal(encrypted + refused, 20_000);
  assert.ok(encrypted > 1_000 && refused > 1_000, `${encrypted} encrypted, ${refused} refused`);
  assert.deepEqual(trial.keysInMemory(), []);
});
