import assert from "node:assert/strict";
import { test } from "node:test";
import * as argon2 from "@node-rs/argon2";
import fc from "fast-check";
import type { AccountStore } from "../../../src/domain/accounts/account-store.js";
import { type ErrorCode, LatchkeyError } from "../../../src/domain/error.js";
import { createAccountIndex } from "../../../src/services/access/account-index.js";
import { createAuthentication } from "../../../src/services/access/authentication.js";
import {
  createPasswords,
  PASSWORD_LIMITS,
  type Passwords,
} from "../../../src/services/logins/passwords.js";
import { createThrottle } from "../../../src/services/logins/throttle.js";
import { eventually } from "../../support/eventually.js";
import { addKey, NOW, user, withAccounts } from "./accounts.js";

const PASSWORD = "correct horse battery";
const HOME = "192.0.2.1";

const basic = (name: string, password: string) =>
  `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`;

/** Authentication over real accounts, with a clock of its own and all that it logs and checks. */
async function createTrial(store: AccountStore, limits = PASSWORD_LIMITS) {
  const clock = { now: NOW };
  const lines: Record<string, unknown>[] = [];
  const passwords = createPasswords(limits);
  const checks: (string | null)[] = [];
  const watched: Passwords = {
    ...passwords,
    verify(hash, password, turn) {
      checks.push(hash);
      return passwords.verify(hash, password, turn);
    },
  };
  const accountIndex = await createAccountIndex({
    store,
    now: () => clock.now,
    onChange: () => undefined,
    onError: (error) => assert.fail(String(error)),
    interval: 2 ** 30,
  });
  const log = (level: string) => (fields: object, msg?: string) => {
    lines.push({ level, ...fields, msg });
  };
  const authentication = createAuthentication({
    accountIndex,
    store,
    passwords: watched,
    throttle: createThrottle({ clock: () => clock.now }),
    now: () => clock.now,
    logger: { info: log("info"), warn: log("warn") },
  });
  return { store, clock, lines, checks, passwords, accountIndex, authentication };
}

type Trial = Awaited<ReturnType<typeof createTrial>>;

/** Runs `body` with an account `ann` that has a password, and a key `key`. */
const withTrial = (
  body: (trial: Trial & { key: string; keyId: number }) => Promise<void>,
  limits = PASSWORD_LIMITS,
) =>
  withAccounts(async (store) => {
    const { hash } = createPasswords();
    await store.add(user("ann"), await hash(PASSWORD));
    const { key, id: keyId } = await addKey(store, "ann");
    const trial = await createTrial(store, limits);
    try {
      await body({ ...trial, key, keyId });
    } finally {
      trial.accountIndex.stop();
    }
  });

/** The error that `attempt` throws or rejects with. */
async function errorOf(attempt: () => unknown): Promise<LatchkeyError> {
  try {
    await attempt();
  } catch (error) {
    assert.ok(error instanceof LatchkeyError, String(error));
    return error;
  }
  assert.fail("nothing was refused");
}

const codeOf = async (attempt: () => unknown): Promise<ErrorCode> => (await errorOf(attempt)).code;

test("a key in a Bearer header is its account, at once", () =>
  withTrial(async ({ authentication, key, keyId, accountIndex }) => {
    for (const scheme of ["Bearer", "bearer", "BEARER "]) {
      const identity = authentication.byHeader(`${scheme} ${key}`, HOME);
      assert.deepEqual(identity, {
        account: accountIndex.byName("ann")?.account,
        keyId,
        expiresAt: null,
        passwordChanges: null,
      });
    }
  }));

test("a name and password are their account, in a Basic header or as they are", () =>
  withTrial(async ({ authentication, accountIndex }) => {
    const expected = {
      account: accountIndex.byName("ann")?.account,
      keyId: null,
      expiresAt: null,
      passwordChanges: 0,
    };
    const header = basic("ann", PASSWORD);
    for (const attempt of [
      authentication.byHeader(header, HOME),
      authentication.byHeader(header.replace("Basic", "bASIC"), HOME),
      authentication.byPassword("ann", PASSWORD, HOME),
    ]) {
      assert.deepEqual(await attempt, expected);
    }
  }));

test("a password may have colons and any letters", () =>
  withTrial(async ({ authentication, store, accountIndex, passwords }) => {
    const password = "pässwort:🔑: colon";
    await store.setPassword("ann", await passwords.hash(password));
    await accountIndex.refresh();
    assert.ok(await authentication.byHeader(basic("ann", password), HOME));
  }));

test("the common name of a certificate is the name of its account", () =>
  withTrial(async ({ authentication, store, accountIndex }) => {
    const identity = authentication.byCertificate("ann", HOME);
    assert.deepEqual(identity, {
      account: accountIndex.byName("ann")?.account,
      keyId: null,
      expiresAt: null,
      passwordChanges: null,
    });
    assert.equal(await codeOf(() => authentication.byCertificate("bob", HOME)), "unauthenticated");
    await store.setEnabled("ann", false);
    await accountIndex.refresh();
    assert.equal(await codeOf(() => authentication.byCertificate("ann", HOME)), "unauthenticated");
  }));

test("whatever is wrong with credentials, the answer is the same and says nothing of it", () =>
  withTrial(async ({ authentication, store, accountIndex, clock, key, lines, passwords }) => {
    await store.add(user("keyless"), null);
    await store.add(user("off"), await passwords.hash(PASSWORD));
    const off = await addKey(store, "off");
    const expired = await addKey(store, "ann", NOW + 1);
    const revoked = await addKey(store, "ann");
    await store.setEnabled("off", false);
    await store.revokeKey("ann", revoked.id);
    await accountIndex.refresh();
    clock.now += 1;
    const cases = [
      ["wrong password", "ann", () => authentication.byHeader(basic("ann", "wrong"), HOME)],
      ["unknown account", undefined, () => authentication.byHeader(basic(PASSWORD, "x"), HOME)],
      ["no password", "keyless", () => authentication.byPassword("keyless", "", HOME)],
      ["account ended", "off", () => authentication.byPassword("off", PASSWORD, HOME)],
      ["account ended", "off", () => authentication.byHeader(`Bearer ${off.key}`, HOME)],
      ["credential ended", "ann", () => authentication.byHeader(`Bearer ${expired.key}`, HOME)],
      ["unknown key", undefined, () => authentication.byHeader(`Bearer ${revoked.key}`, HOME)],
      ["unknown key", undefined, () => authentication.byHeader(`Bearer ${key}A`, HOME)],
    ] as const;
    const answers = new Set<string>();
    for (const [reason, account, attempt] of cases) {
      lines.length = 0;
      const { code, message } = await errorOf(attempt);
      answers.add(`${code} ${message}`);
      assert.deepEqual(lines, [
        { level: "warn", account, address: HOME, reason, msg: "authentication failed" },
      ]);
    }
    assert.deepEqual([...answers], ["unauthenticated these credentials are not valid"]);
  }));

test("an account that is unknown, disabled or without a password costs a check like any other", () =>
  withTrial(async ({ authentication, store, accountIndex, checks }) => {
    const attempt = async (name: string, password: string) => {
      checks.length = 0;
      await codeOf(() => authentication.byPassword(name, password, HOME));
      assert.equal(checks.length, 1, name);
    };
    await store.add(user("keyless"), null);
    await accountIndex.refresh();
    await attempt("nobody", PASSWORD);
    await attempt("keyless", PASSWORD);
    await attempt("ann", "wrong");
    await store.setEnabled("ann", false);
    await accountIndex.refresh();
    await attempt("ann", PASSWORD);
  }));

test("a header that is neither Bearer nor Basic is refused, and not repeated", () =>
  withTrial(async ({ authentication, key, checks }) => {
    const malformed = [
      "",
      "Bearer",
      "Bearer ",
      `Bearer ${key} ${key}`,
      key,
      `Basic ${Buffer.from("no colon").toString("base64")}`,
      `Basic ${Buffer.from(":no name").toString("base64")}`,
      `Basic ${Buffer.from([0x61, 0x3a, 0xff]).toString("base64")}`,
      "Basic !!!!",
      "Digest username=ann",
      `${basic("ann", PASSWORD)}, Bearer x`,
    ];
    for (const header of malformed) {
      const error = await errorOf(() => authentication.byHeader(header, HOME));
      assert.equal(error.code, "unauthenticated", header);
      assert.ok(!error.message.includes(key));
    }
    assert.deepEqual(checks, []);
  }));

test("no header makes it do anything but answer or refuse", () =>
  withTrial(async ({ authentication, clock }) => {
    const headers = fc.oneof(
      fc.string({ unit: "binary" }),
      fc
        .tuple(fc.constantFrom("Bearer", "basic", "Basic  "), fc.base64String())
        .map(([scheme, value]) => `${scheme} ${value}`),
    );
    await fc.assert(
      fc.asyncProperty(headers, async (header) => {
        clock.now += 3_600_000;
        const code = await codeOf(() => authentication.byHeader(header, HOME));
        assert.equal(code, "unauthenticated");
      }),
      { numRuns: 200 },
    );
  }));

test("nothing that is logged or thrown holds a secret", () =>
  withTrial(async ({ authentication, key, lines }) => {
    const errors = [
      await errorOf(() => authentication.byHeader(`Bearer ${key}x`, HOME)),
      await errorOf(() => authentication.byHeader(`Basic ${key}`, HOME)),
      await errorOf(() => authentication.byPassword("ann", `${PASSWORD}x`, HOME)),
      await errorOf(() => authentication.byPassword(PASSWORD, PASSWORD, HOME)),
    ];
    await authentication.byHeader(`Bearer ${key}`, HOME);
    await authentication.byPassword("ann", PASSWORD, HOME);
    assert.deepEqual(lines.at(-1), {
      level: "info",
      account: "ann",
      address: HOME,
      msg: "logged in by password",
    });
    const texts = [...errors.map((error) => `${error.stack}`), JSON.stringify(lines)].join();
    for (const secret of [key, PASSWORD]) assert.ok(!texts.includes(secret));
  }));

test("failures are slowed, at their address only, and what waits is not checked", () =>
  withTrial(async ({ authentication, checks, lines, clock }) => {
    const guess = (at: number) => authentication.byPassword("ann", `guess ${at}`, HOME);
    for (let at = 0; at < 5; at++) assert.equal(await codeOf(() => guess(at)), "unauthenticated");
    checks.length = 0;
    assert.equal(await codeOf(() => guess(5)), "limit");
    assert.equal(await codeOf(() => authentication.byPassword("ann", PASSWORD, HOME)), "limit");
    assert.deepEqual(checks, []);
    assert.equal(lines.at(-1)?.["reason"], "slowed down");
    assert.ok(await authentication.byPassword("ann", PASSWORD, "192.0.2.2"));
    clock.now += 30_000;
    assert.ok(await authentication.byPassword("ann", PASSWORD, HOME));
  }));

test("guesses of keys are slowed too, and a right key is never refused", () =>
  withTrial(async ({ authentication, key }) => {
    const guess = (at: number) => authentication.byHeader(`Bearer lk_${at}`, HOME);
    for (let at = 0; at < 30; at++) assert.equal(await codeOf(() => guess(at)), "unauthenticated");
    assert.equal(await codeOf(() => guess(30)), "limit");
    assert.ok(authentication.byHeader(`Bearer ${key}`, HOME));
  }));

test("logins that succeed are not slowed", () =>
  withTrial(async ({ authentication }) => {
    for (let at = 0; at < 40; at++) await authentication.byPassword("ann", PASSWORD, HOME);
  }));

test("a pool that opens all its connections at once is checked once", () =>
  withTrial(async ({ authentication, checks, lines }) => {
    const pool = Array.from({ length: 100 }, () =>
      authentication.byHeader(basic("ann", PASSWORD), HOME),
    );
    for (const login of pool) assert.ok(await login);
    assert.equal(checks.length, 1);
    assert.equal(lines.length, 1);
    await authentication.byHeader(basic("ann", PASSWORD), HOME);
    assert.equal(checks.length, 2);
  }));

test("a password that was not checked, because too many waited, does not count as wrong", () =>
  withTrial(
    async ({ authentication, passwords, checks }) => {
      const others = Array.from({ length: 2 }, () => passwords.verify(null, "x"));
      for (let at = 0; at < 10; at++) {
        assert.equal(await codeOf(() => authentication.byPassword("ann", PASSWORD, HOME)), "limit");
      }
      assert.equal(checks.length, 10);
      await Promise.all(others);
      assert.ok(await authentication.byPassword("ann", PASSWORD, HOME));
    },
    { running: 2, waiting: { known: 0, strangers: 0 } },
  ));

for (const [what, address, most] of [
  ["an address that it logged in from", HOME, 4],
  ["a new address", "203.0.113.9", 130],
] as const) {
  test(`an account logs in from ${what} while 120 networks guess without a pause`, () =>
    withTrial(async ({ authentication, lines }) => {
      await authentication.byPassword("ann", PASSWORD, HOME);
      let isOver = false;
      let guesses = 0;
      const attackers = Array.from({ length: 120 }, async (_, network) => {
        while (!isOver) {
          const name = network % 2 === 0 ? "ann" : `name ${++guesses}`;
          const guess = authentication.byPassword(name, `guess ${++guesses}`, `10.0.${network}.1`);
          await guess.catch(() => new Promise(setImmediate));
        }
      });
      const checked = () =>
        lines.filter(({ reason }) => /^(wrong|unknown)/.test(`${reason}`)).length;
      await eventually("the flood", () => checked() > 20);
      const before = checked();
      assert.ok(await authentication.byPassword("ann", PASSWORD, address));
      const passed = checked() - before;
      isOver = true;
      await Promise.all(attackers);
      assert.ok(passed <= most, `${passed} guesses were checked meanwhile`);
    }));
}

test("a password of older parameters is hashed anew at its login, and its identities hold", () =>
  withTrial(async ({ authentication, store, accountIndex, checks }) => {
    const old = await argon2.hash(PASSWORD, { memoryCost: 8_192, timeCost: 1 });
    await store.setPassword("ann", old);
    await accountIndex.refresh();
    await codeOf(() => authentication.byPassword("ann", "wrong", HOME));
    assert.equal((await store.load()).accounts[0]?.passwordHash, old);

    const identity = await authentication.byPassword("ann", PASSWORD, HOME);
    await accountIndex.refresh();
    const hash = accountIndex.byName("ann")?.passwordHash;
    assert.match(String(hash), /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    assert.equal(authentication.standing(identity), "valid");
    await authentication.byPassword("ann", PASSWORD, HOME);
    assert.equal(checks.at(-1), hash);
  }));

test("an account that is disabled while its password is checked stays outside", () =>
  withTrial(async ({ authentication, store, accountIndex }) => {
    const attempt = authentication.byPassword("ann", PASSWORD, HOME);
    await store.setEnabled("ann", false);
    await accountIndex.refresh();
    assert.equal(await codeOf(() => attempt), "unauthenticated");
  }));

test("the use of a key is noted at most once a minute, and a failure of it fails no call", () =>
  withTrial(async ({ authentication, store, clock, key, keyId, lines }) => {
    const use = () => authentication.byHeader(`Bearer ${key}`, HOME);
    /** The latest use that is noted, once all notes are written: this one of long ago is the last. */
    const lastUse = async () => {
      await store.noteKeyUse(keyId, 1);
      return (await store.load()).accounts[0]?.keys[0]?.lastUsedAt;
    };
    use();
    assert.equal(await lastUse(), NOW);
    clock.now += 59_999;
    use();
    assert.equal(await lastUse(), 1);
    clock.now += 1;
    use();
    assert.equal(await lastUse(), NOW + 60_000);

    store.close();
    clock.now += 60_000;
    assert.ok(use());
    await new Promise(setImmediate);
    assert.equal(lines.at(-1)?.["msg"], "key use not noted");
  }));

for (const [what, change, standings] of [
  ["nothing changes", async () => undefined, ["valid", "valid", "valid"]],
  [
    "the password is set",
    async ({ store, passwords }) => store.setPassword("ann", await passwords.hash(PASSWORD)),
    ["valid", "credential ended", "valid"],
  ],
  [
    "the key is revoked",
    ({ store, keyId }) => store.revokeKey("ann", keyId),
    ["credential ended", "valid", "valid"],
  ],
  [
    "the account is disabled",
    ({ store }) => store.setEnabled("ann", false),
    ["account ended", "account ended", "account ended"],
  ],
  [
    "the account is removed, and another gets its name",
    async ({ store, passwords }) => {
      await store.remove("ann");
      await store.add(user("ann"), await passwords.hash(PASSWORD));
    },
    ["account ended", "account ended", "account ended"],
  ],
] satisfies [string, (trial: Trial & { keyId: number }) => Promise<void>, string[]][]) {
  test(`after ${what}, what came by key, password and certificate is ${standings.join(", ")}`, () =>
    withTrial(async (trial) => {
      const { authentication, accountIndex, key } = trial;
      const identities = [
        await authentication.byHeader(`Bearer ${key}`, HOME),
        await authentication.byPassword("ann", PASSWORD, HOME),
        await authentication.byCertificate("ann", HOME),
      ];
      await change(trial);
      await accountIndex.refresh();
      assert.deepEqual(identities.map(authentication.standing), standings);
    }));
}

test("a key ends at the instant that it expires", () =>
  withTrial(async ({ authentication, store, accountIndex, clock }) => {
    const { key } = await addKey(store, "ann", NOW + 1_000);
    await accountIndex.refresh();
    clock.now = NOW + 999;
    const identity = await authentication.byHeader(`Bearer ${key}`, HOME);
    assert.equal(authentication.standing(identity), "valid");
    clock.now = NOW + 1_000;
    assert.equal(authentication.standing(identity), "credential ended");
    assert.equal(
      await codeOf(() => authentication.byHeader(`Bearer ${key}`, HOME)),
      "unauthenticated",
    );
  }));

/** Each change, made by another process since the accounts were read, and the caller that it lets in. */
for (const [what, change] of [
  [
    "a key just added",
    async ({ store, authentication }) => {
      const { key } = await addKey(store, "ann");
      return () => authentication.byHeader(`Bearer ${key}`, HOME);
    },
  ],
  [
    "a password just set",
    async ({ store, authentication, passwords }) => {
      await store.setPassword("ann", await passwords.hash("another battery"));
      return () => authentication.byHeader(basic("ann", "another battery"), HOME);
    },
  ],
  [
    "an account just added, by its password",
    async ({ store, authentication, passwords }) => {
      await store.add(user("eve"), await passwords.hash(PASSWORD));
      return () => authentication.byPassword("eve", PASSWORD, HOME);
    },
  ],
  [
    "an account just added, by its certificate",
    async ({ store, authentication }) => {
      await store.add(user("eve"), null);
      return () => authentication.byCertificate("eve", HOME);
    },
  ],
  [
    "the key of an account just enabled again",
    async ({ store, authentication, accountIndex, key }) => {
      await store.setEnabled("ann", false);
      await accountIndex.refresh();
      await store.setEnabled("ann", true);
      return () => authentication.byHeader(`Bearer ${key}`, HOME);
    },
  ],
  [
    "the password of an account just enabled again",
    async ({ store, authentication, accountIndex }) => {
      await store.setEnabled("ann", false);
      await accountIndex.refresh();
      await store.setEnabled("ann", true);
      return () => authentication.byPassword("ann", PASSWORD, HOME);
    },
  ],
] satisfies [string, (trial: Trial & { key: string }) => Promise<() => unknown>][]) {
  test(`${what} is good at once, is no failure, and slows nothing down`, () =>
    withTrial(async (trial) => {
      const use = await change(trial);
      // More often than failures would be let pass.
      for (let times = 0; times < 7; times++) await use();
      assert.deepEqual(
        trial.lines.filter(({ level }) => level === "warn"),
        [],
      );
    }));
}

test("a password that is wrong is checked once, though another account changed meanwhile", () =>
  withTrial(async ({ store, authentication, checks }) => {
    await store.add(user("eve"), null);
    await errorOf(() => authentication.byPassword("ann", "wrong", HOME));
    assert.equal(checks.length, 1);
  }));
