import assert from "node:assert/strict";
import { test } from "node:test";
import { hashApiKey } from "../../../src/domain/accounts/account.js";
import type { AccountChange, AccountStore } from "../../../src/domain/accounts/account-store.js";
import {
  type AccountIndexOptions,
  createAccountIndex,
} from "../../../src/services/access/account-index.js";
import { addKey, NOW, user, withAccounts } from "./accounts.js";

/** Looks at the store when told to only, unless an interval is given. */
const NEVER = 2 ** 30;

async function createTrial(store: AccountIndexOptions["store"], interval = NEVER) {
  const clock = { now: NOW };
  const changes: Partial<AccountChange>[][] = [];
  const errors: unknown[] = [];
  let wake: () => void = () => undefined;
  const accountIndex = await createAccountIndex({
    store,
    now: () => clock.now,
    interval,
    onChange(told) {
      for (const { at, actor } of told) assert.deepEqual([at, actor], [NOW, "tester"]);
      changes.push(told.map(({ at, actor, ...change }) => change));
      wake();
    },
    onError(error) {
      errors.push(error);
      wake();
    },
  });
  /** Settles when the account index next tells of something. */
  const told = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  return { accountIndex, clock, changes, errors, told };
}

const withAccountIndex = (
  body: (trial: Awaited<ReturnType<typeof createTrial>> & { store: AccountStore }) => Promise<void>,
) =>
  withAccounts(async (store) => {
    await store.add(user("ann"), "hash");
    const trial = await createTrial(store);
    try {
      await body({ ...trial, store });
    } finally {
      trial.accountIndex.stop();
    }
  });

test("accounts are found by name, number and key, as the store had them at first", () =>
  withAccounts(async (store) => {
    const ann = await store.add(user("ann"), "hash");
    await store.add(user("bob"), null);
    const { key, id } = await addKey(store, "ann");
    const { accountIndex, changes } = await createTrial(store);
    assert.deepEqual(accountIndex.byName("ann")?.account, ann);
    assert.deepEqual(accountIndex.byId(ann.id), accountIndex.byName("ann"));
    const found = accountIndex.byKeyHash(hashApiKey(key));
    assert.deepEqual([found?.owner.account, found?.key.id], [ann, id]);
    assert.equal(accountIndex.byName("Ann"), undefined);
    assert.equal(accountIndex.byId(99), undefined);
    assert.equal(accountIndex.byKeyHash(hashApiKey(`${key}x`)), undefined);
    assert.deepEqual(changes, []);
    accountIndex.stop();
  }));

test("every change is seen, and told once", () =>
  withAccountIndex(async ({ accountIndex, store, changes }) => {
    const seen = async (change: () => Promise<unknown>) => {
      changes.length = 0;
      await change();
      assert.deepEqual(changes, []);
      await accountIndex.refresh();
      await accountIndex.refresh();
      assert.equal(changes.length, 1);
      return changes[0];
    };
    const told = (change: string, more = {}) => [{ account: "ann", change, ...more }];

    assert.deepEqual(await seen(() => store.setEnabled("ann", false)), told("disabled"));
    assert.equal(accountIndex.byName("ann")?.account.enabled, false);
    assert.deepEqual(await seen(() => store.setEnabled("ann", true)), told("enabled"));
    assert.deepEqual(await seen(() => store.setPassword("ann", "new")), told("password set"));
    assert.equal(accountIndex.byName("ann")?.passwordHash, "new");
    assert.deepEqual(await seen(() => store.rehash(1, "new", "newer")), []);
    assert.equal(accountIndex.byName("ann")?.passwordHash, "newer");
    let key = "";
    assert.deepEqual(
      await seen(async () => {
        key = (await addKey(store, "ann")).key;
      }),
      told("key added", { keyId: 1 }),
    );
    assert.ok(accountIndex.byKeyHash(hashApiKey(key)));
    assert.deepEqual(
      await seen(() => store.revokeKey("ann", 1)),
      told("key revoked", { keyId: 1 }),
    );
    assert.equal(accountIndex.byKeyHash(hashApiKey(key)), undefined);
    // An account of the same name is another one.
    assert.deepEqual(
      await seen(async () => {
        await store.remove("ann");
        await store.add(user("ann"), null);
        await addKey(store, "ann");
      }),
      [...told("removed"), ...told("added"), ...told("key added", { keyId: 2 })],
    );
    assert.equal(accountIndex.byId(1), undefined);
    await seen(() => store.remove("ann"));
    assert.equal(accountIndex.byName("ann"), undefined);
  }));

test("a look without a change reads one number", () =>
  withAccounts(async (store) => {
    let loads = 0;
    const counted = {
      ...store,
      load() {
        loads++;
        return store.load();
      },
    };
    const { accountIndex, changes } = await createTrial(counted);
    for (let look = 0; look < 3; look++) await accountIndex.refresh();
    assert.equal(loads, 1);
    assert.deepEqual(changes, []);
    accountIndex.stop();
  }));

test("a key that expires is told of, once", () =>
  withAccountIndex(async ({ accountIndex, store, changes, clock }) => {
    await addKey(store, "ann", NOW + 1_000);
    await accountIndex.refresh();
    changes.length = 0;
    clock.now = NOW + 999;
    await accountIndex.refresh();
    assert.deepEqual(changes, []);
    clock.now = NOW + 1_000;
    await accountIndex.refresh();
    await accountIndex.refresh();
    assert.deepEqual(changes, [[]]);
  }));

test("the store is looked at again and again, and its failures are survived", () =>
  withAccounts(async (store) => {
    await store.add(user("ann"), null);
    let failure: Error | undefined;
    let failures = 0;
    const fragile = {
      ...store,
      async version() {
        if (!failure) return store.version();
        failures++;
        throw failure;
      },
    };
    const { accountIndex, changes, errors, told } = await createTrial(fragile, 1);
    // An account index does not keep its process alive, but this test is to see its end.
    const awake = setInterval(() => undefined, 1_000);
    try {
      const changed = told();
      await store.setEnabled("ann", false);
      await changed;
      assert.deepEqual(changes, [[{ account: "ann", change: "disabled" }]]);

      failure = new Error("the disk is gone");
      await told();
      await store.setEnabled("ann", true);
      const already = failures;
      while (failures < already + 3) await new Promise(setImmediate);
      // Of failures in a row the first is told.
      assert.deepEqual(errors, [failure]);
      assert.equal(accountIndex.byName("ann")?.account.enabled, false);
      await assert.rejects(accountIndex.refresh(), failure);

      const recovered = told();
      failure = undefined;
      await recovered;
      assert.equal(accountIndex.byName("ann")?.account.enabled, true);
      failure = new Error("the disk is gone again");
      await told();
      assert.equal(errors.length, 2);
    } finally {
      clearInterval(awake);
      accountIndex.stop();
    }
  }));

test("a change that comes while accounts are read is told once", () =>
  withAccountIndex(async ({ store }) => {
    const between: (() => Promise<void>)[] = [];
    const busy = {
      ...store,
      async load() {
        const loaded = await store.load();
        await between.shift()?.();
        return loaded;
      },
    };
    const { accountIndex, changes } = await createTrial(busy);
    between.push(() => store.setEnabled("ann", true));
    await store.setEnabled("ann", false);
    await accountIndex.refresh();
    assert.equal(accountIndex.byName("ann")?.account.enabled, false);
    await accountIndex.refresh();
    assert.equal(accountIndex.byName("ann")?.account.enabled, true);
    assert.deepEqual(
      changes.map((told) => told.map(({ change }) => change)),
      [["disabled"], ["enabled"]],
    );
    accountIndex.stop();
  }));

test("changes that could not be read are told later", () =>
  withAccountIndex(async ({ store }) => {
    let failing = true;
    const fragile = {
      ...store,
      changesSince: (version: number, upTo: number) =>
        failing ? Promise.reject(new Error("busy")) : store.changesSince(version, upTo),
    };
    const { accountIndex, changes } = await createTrial(fragile);
    await store.setEnabled("ann", false);
    await assert.rejects(accountIndex.refresh(), /busy/);
    await store.setEnabled("ann", true);
    failing = false;
    await accountIndex.refresh();
    assert.deepEqual(
      changes.map((told) => told.map(({ change }) => change)),
      [["disabled", "enabled"]],
    );
    accountIndex.stop();
  }));

test("an account index that cannot be read at first is none", () =>
  withAccounts(async (store) => {
    store.close();
    await assert.rejects(createTrial(store), { code: "unavailable" });
  }));

test("nothing is told after a stop", () =>
  withAccountIndex(async ({ accountIndex, store, changes, errors }) => {
    await store.setEnabled("ann", false);
    const look = accountIndex.refresh();
    accountIndex.stop();
    await look;
    assert.deepEqual([changes, errors], [[], []]);
  }));

test("callers that nobody knows share a few looks, and each sees what was changed before it", () =>
  withAccounts(async (store) => {
    let looks = 0;
    const counted = {
      load: store.load,
      changesSince: store.changesSince,
      version() {
        looks++;
        return store.version();
      },
    };
    const accountIndex = await createAccountIndex({
      store: counted,
      now: () => NOW,
      onChange: () => undefined,
      onError: (error) => assert.fail(String(error)),
      interval: 2 ** 30,
    });
    for (let round = 0; round < 3; round++) {
      await store.add(user(`ann-${round}`), null);
      await Promise.all(Array.from({ length: 1_000 }, () => accountIndex.lookAgain()));
      assert.ok(accountIndex.byName(`ann-${round}`));
    }
    assert.equal(looks, 3);
    accountIndex.stop();
  }));

test("a look that the store fails leaves the accounts as they were", () =>
  withAccounts(async (store) => {
    await store.add(user("ann"), null);
    const accountIndex = await createAccountIndex({
      store: { ...store, version: () => Promise.reject(new Error("the disk is on fire")) },
      now: () => NOW,
      onChange: () => undefined,
      onError: () => undefined,
      interval: 2 ** 30,
    });
    await accountIndex.lookAgain();
    assert.ok(accountIndex.byName("ann"));
    accountIndex.stop();
  }));
