import assert from "node:assert/strict";
import { test } from "node:test";
import { hashApiKey } from "../../../src/domain/accounts/account.js";
import type { AccountChange, AccountStore } from "../../../src/domain/accounts/account-store.js";
import {
  createDirectory,
  type DirectoryOptions,
} from "../../../src/services/access/account-index.js";
import { addKey, NOW, user, withAccounts } from "./accounts.js";

/** Looks at the store when told to only, unless an interval is given. */
const NEVER = 2 ** 30;

async function createTrial(store: DirectoryOptions["store"], interval = NEVER) {
  const clock = { now: NOW };
  const changes: Partial<AccountChange>[][] = [];
  const errors: unknown[] = [];
  let wake: () => void = () => undefined;
  const directory = await createDirectory({
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
  /** Settles when the directory next tells of something. */
  const told = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  return { directory, clock, changes, errors, told };
}

const withDirectory = (
  body: (trial: Awaited<ReturnType<typeof createTrial>> & { store: AccountStore }) => Promise<void>,
) =>
  withAccounts(async (store) => {
    await store.add(user("ann"), "hash");
    const trial = await createTrial(store);
    try {
      await body({ ...trial, store });
    } finally {
      trial.directory.stop();
    }
  });

test("accounts are found by name, number and key, as the store had them at first", () =>
  withAccounts(async (store) => {
    const ann = await store.add(user("ann"), "hash");
    await store.add(user("bob"), null);
    const { key, id } = await addKey(store, "ann");
    const { directory, changes } = await createTrial(store);
    assert.deepEqual(directory.byName("ann")?.account, ann);
    assert.deepEqual(directory.byId(ann.id), directory.byName("ann"));
    const found = directory.byKeyHash(hashApiKey(key));
    assert.deepEqual([found?.owner.account, found?.key.id], [ann, id]);
    assert.equal(directory.byName("Ann"), undefined);
    assert.equal(directory.byId(99), undefined);
    assert.equal(directory.byKeyHash(hashApiKey(`${key}x`)), undefined);
    assert.deepEqual(changes, []);
    directory.stop();
  }));

test("every change is seen, and told once", () =>
  withDirectory(async ({ directory, store, changes }) => {
    const seen = async (change: () => Promise<unknown>) => {
      changes.length = 0;
      await change();
      assert.deepEqual(changes, []);
      await directory.refresh();
      await directory.refresh();
      assert.equal(changes.length, 1);
      return changes[0];
    };
    const told = (change: string, more = {}) => [{ account: "ann", change, ...more }];

    assert.deepEqual(await seen(() => store.setEnabled("ann", false)), told("disabled"));
    assert.equal(directory.byName("ann")?.account.enabled, false);
    assert.deepEqual(await seen(() => store.setEnabled("ann", true)), told("enabled"));
    assert.deepEqual(await seen(() => store.setPassword("ann", "new")), told("password set"));
    assert.equal(directory.byName("ann")?.passwordHash, "new");
    assert.deepEqual(await seen(() => store.rehash(1, "new", "newer")), []);
    assert.equal(directory.byName("ann")?.passwordHash, "newer");
    let key = "";
    assert.deepEqual(
      await seen(async () => {
        key = (await addKey(store, "ann")).key;
      }),
      told("key added", { keyId: 1 }),
    );
    assert.ok(directory.byKeyHash(hashApiKey(key)));
    assert.deepEqual(
      await seen(() => store.revokeKey("ann", 1)),
      told("key revoked", { keyId: 1 }),
    );
    assert.equal(directory.byKeyHash(hashApiKey(key)), undefined);
    // An account of the same name is another one.
    assert.deepEqual(
      await seen(async () => {
        await store.remove("ann");
        await store.add(user("ann"), null);
        await addKey(store, "ann");
      }),
      [...told("removed"), ...told("added"), ...told("key added", { keyId: 2 })],
    );
    assert.equal(directory.byId(1), undefined);
    await seen(() => store.remove("ann"));
    assert.equal(directory.byName("ann"), undefined);
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
    const { directory, changes } = await createTrial(counted);
    for (let look = 0; look < 3; look++) await directory.refresh();
    assert.equal(loads, 1);
    assert.deepEqual(changes, []);
    directory.stop();
  }));

test("a key that expires is told of, once", () =>
  withDirectory(async ({ directory, store, changes, clock }) => {
    await addKey(store, "ann", NOW + 1_000);
    await directory.refresh();
    changes.length = 0;
    clock.now = NOW + 999;
    await directory.refresh();
    assert.deepEqual(changes, []);
    clock.now = NOW + 1_000;
    await directory.refresh();
    await directory.refresh();
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
    const { directory, changes, errors, told } = await createTrial(fragile, 1);
    // A directory does not keep its process alive, but this test is to see its end.
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
      assert.equal(directory.byName("ann")?.account.enabled, false);
      await assert.rejects(directory.refresh(), failure);

      const recovered = told();
      failure = undefined;
      await recovered;
      assert.equal(directory.byName("ann")?.account.enabled, true);
      failure = new Error("the disk is gone again");
      await told();
      assert.equal(errors.length, 2);
    } finally {
      clearInterval(awake);
      directory.stop();
    }
  }));

test("a change that comes while accounts are read is told once", () =>
  withDirectory(async ({ store }) => {
    const between: (() => Promise<void>)[] = [];
    const busy = {
      ...store,
      async load() {
        const loaded = await store.load();
        await between.shift()?.();
        return loaded;
      },
    };
    const { directory, changes } = await createTrial(busy);
    between.push(() => store.setEnabled("ann", true));
    await store.setEnabled("ann", false);
    await directory.refresh();
    assert.equal(directory.byName("ann")?.account.enabled, false);
    await directory.refresh();
    assert.equal(directory.byName("ann")?.account.enabled, true);
    assert.deepEqual(
      changes.map((told) => told.map(({ change }) => change)),
      [["disabled"], ["enabled"]],
    );
    directory.stop();
  }));

test("changes that could not be read are told later", () =>
  withDirectory(async ({ store }) => {
    let failing = true;
    const fragile = {
      ...store,
      changesSince: (version: number, upTo: number) =>
        failing ? Promise.reject(new Error("busy")) : store.changesSince(version, upTo),
    };
    const { directory, changes } = await createTrial(fragile);
    await store.setEnabled("ann", false);
    await assert.rejects(directory.refresh(), /busy/);
    await store.setEnabled("ann", true);
    failing = false;
    await directory.refresh();
    assert.deepEqual(
      changes.map((told) => told.map(({ change }) => change)),
      [["disabled", "enabled"]],
    );
    directory.stop();
  }));

test("a directory that cannot be read at first is none", () =>
  withAccounts(async (store) => {
    store.close();
    await assert.rejects(createTrial(store), { code: "unavailable" });
  }));

test("nothing is told after a stop", () =>
  withDirectory(async ({ directory, store, changes, errors }) => {
    await store.setEnabled("ann", false);
    const look = directory.refresh();
    directory.stop();
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
    const directory = await createDirectory({
      store: counted,
      now: () => NOW,
      onChange: () => undefined,
      onError: (error) => assert.fail(String(error)),
      interval: 2 ** 30,
    });
    for (let round = 0; round < 3; round++) {
      await store.add(user(`ann-${round}`), null);
      await Promise.all(Array.from({ length: 1_000 }, () => directory.lookAgain()));
      assert.ok(directory.byName(`ann-${round}`));
    }
    assert.equal(looks, 3);
    directory.stop();
  }));

test("a look that the store fails leaves the accounts as they were", () =>
  withAccounts(async (store) => {
    await store.add(user("ann"), null);
    const directory = await createDirectory({
      store: { ...store, version: () => Promise.reject(new Error("the disk is on fire")) },
      now: () => NOW,
      onChange: () => undefined,
      onError: () => undefined,
      interval: 2 ** 30,
    });
    await directory.lookAgain();
    assert.ok(directory.byName("ann"));
    directory.stop();
  }));
