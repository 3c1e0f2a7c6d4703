import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, mock, test } from "node:test";
import Sqlite from "better-sqlite3";
import { hashApiKey, newApiKey } from "../../../src/domain/accounts/account.js";
import type {
  AccountStore,
  NewAccount,
  NewKey,
} from "../../../src/domain/accounts/account-store.js";
import { type ErrorCode, LatchkeyError } from "../../../src/domain/error.js";
import type { AccountStoreOptions } from "../../../src/stores/sqlite/accounts/store.js";
import {
  connect,
  openAccounts,
  openQuietly,
  withDatabase,
  withFolder,
} from "../../support/stores/database.js";
import { createTrial, NOW } from "../../support/stores/fixture.js";
import { runChild } from "../../support/stores/process.js";

const ACCOUNTS = new URL("../../../src/stores/sqlite/accounts/store.ts", import.meta.url);

const ANN: NewAccount = { name: "ann", role: "User", apps: ["shop", "forum-*"], rke: true };
const BOB: NewAccount = { name: "bob", role: "Admin", apps: [], rke: false };

/** A key of its own, expiring at some time. */
const mintKey = (label = "ci"): NewKey => ({
  label,
  createdAt: NOW,
  expiresAt: NOW + 1,
  hash: hashApiKey(newApiKey(randomBytes)),
});

const refused = (code: ErrorCode) => (error: unknown) => {
  assert.ok(error instanceof LatchkeyError, String(error));
  assert.equal(error.code, code);
  assert.ok(!error.message.includes("\n"));
  return true;
};

/** Runs `body` over the accounts of a new database. */
const withAccounts = (body: (store: AccountStore, path: string) => void | Promise<void>) =>
  withFolder(async (folder) => {
    const path = join(folder, "latchkey.db");
    const store = openAccounts(path);
    try {
      await body(store, path);
    } finally {
      store.close();
    }
  });

/** Runs `body` with a second process's view of the accounts: a connection of its own. */
async function withOther<T>(
  path: string,
  body: (store: AccountStore) => Promise<T>,
  options: Partial<AccountStoreOptions> = {},
): Promise<T> {
  const other = openAccounts(path, options);
  try {
    return await body(other);
  } finally {
    other.close();
  }
}

describe("accounts in SQLite", () => {
  test("an account and its keys come back as they were given, the oldest first", () =>
    withAccounts(async (store, path) => {
      const ann = await store.add(ANN, "hash of ann");
      const bob = await store.add(BOB, null);
      assert.deepEqual(ann, { ...ANN, id: ann.id, enabled: true });
      const given = [mintKey("first"), { ...mintKey("second"), expiresAt: null }];
      const keys = [];
      for (const key of given) keys.push({ ...(await store.addKey("ann", key)), hash: key.hash });
      assert.deepEqual(
        keys.map(({ label, expiresAt, lastUsedAt }) => [label, expiresAt, lastUsedAt]),
        [
          ["first", NOW + 1, null],
          ["second", null, null],
        ],
      );
      const expected = {
        version: await store.version(),
        accounts: [
          { account: ann, passwordHash: "hash of ann", passwordChanges: 0, keys },
          { account: bob, passwordHash: null, passwordChanges: 0, keys: [] },
        ],
      };
      assert.deepEqual(await store.load(), expected);
      assert.deepEqual(await withOther(path, (other) => other.load()), expected);
    }));

  test("a name is taken once, in this writing", () =>
    withAccounts(async (store) => {
      await store.add(ANN, null);
      await assert.rejects(store.add({ ...BOB, name: "ann" }, null), refused("exists"));
      await store.add({ ...BOB, name: "Ann" }, null);
      const { accounts } = await store.load();
      assert.deepEqual(
        accounts.map(({ account }) => [account.name, account.role]),
        [
          ["ann", "User"],
          ["Ann", "Admin"],
        ],
      );
    }));

  test("an account is disabled and enabled, and all else stays", () =>
    withAccounts(async (store) => {
      await store.add(ANN, "hash");
      await store.addKey("ann", mintKey());
      const [before] = (await store.load()).accounts;
      await store.setEnabled("ann", false);
      const [disabled] = (await store.load()).accounts;
      assert.deepEqual(disabled, { ...before, account: { ...before?.account, enabled: false } });
      await store.setEnabled("ann", true);
      assert.deepEqual((await store.load()).accounts, [before]);
    }));

  test("a password that is set counts as a change; a new hash of the same one does not", () =>
    withAccounts(async (store) => {
      const { id } = await store.add(ANN, null);
      const state = async () => {
        const [stored] = (await store.load()).accounts;
        return [stored?.passwordHash, stored?.passwordChanges];
      };
      await store.setPassword("ann", "one");
      assert.deepEqual(await state(), ["one", 1]);
      assert.equal(await store.rehash(id, "one", "one again"), true);
      assert.deepEqual(await state(), ["one again", 1]);
      await store.setPassword("ann", "two");
      // Who checked the old password comes too late with its new hash.
      assert.equal(await store.rehash(id, "one again", "one once more"), false);
      assert.deepEqual(await state(), ["two", 2]);
    }));

  test("a removed account takes its keys along, and no id is given again", () =>
    withAccounts(async (store) => {
      const ann = await store.add(ANN, null);
      const key = mintKey();
      const { id } = await store.addKey("ann", key);
      await store.remove("ann");
      assert.deepEqual((await store.load()).accounts, []);

      const again = await store.add(ANN, null);
      assert.ok(again.id > ann.id);
      const sameKey = await store.addKey("ann", key);
      assert.ok(sameKey.id > id);
    }));

  test("a key is revoked by its account only", () =>
    withAccounts(async (store) => {
      await store.add(ANN, null);
      await store.add(BOB, null);
      const { id } = await store.addKey("ann", mintKey());
      const kept = await store.addKey("ann", mintKey());
      await assert.rejects(store.revokeKey("bob", id), refused("not_found"));
      await store.revokeKey("ann", id);
      await assert.rejects(store.revokeKey("ann", id), refused("not_found"));
      const [ann] = (await store.load()).accounts;
      assert.deepEqual(
        ann?.keys.map((key) => key.id),
        [kept.id],
      );
    }));

  test("what names no account is refused, and changes nothing", () =>
    withAccounts(async (store) => {
      await store.add(BOB, null);
      const before = await store.load();
      for (const call of [
        () => store.setEnabled("ann", true),
        () => store.setPassword("ann", "hash"),
        () => store.remove("ann"),
        () => store.addKey("ann", mintKey()),
        () => store.revokeKey("ann", 1),
      ]) {
        await assert.rejects(call(), refused("not_found"));
      }
      assert.deepEqual(await store.load(), before);
    }));

  test("every change of one process shows in the version that another asks for", () =>
    withAccounts(async (store, path) => {
      await withOther(path, async (other) => {
        const changes = [
          () => store.add(ANN, "hash"),
          () => store.setEnabled("ann", false),
          () => store.setPassword("ann", "new hash"),
          () => store.rehash(1, "new hash", "newer hash"),
          () => store.addKey("ann", mintKey()),
          () => store.revokeKey("ann", 1),
          () => store.remove("ann"),
        ];
        const versions = [await other.version()];
        for (const change of changes) {
          await change();
          const version = await other.version();
          assert.ok(!versions.includes(version), String(change));
          versions.push(version);
          assert.equal((await other.load()).version, version);
        }
      });
    }));

  test("every change tells what it was, when, and by whom, whoever asks", () =>
    withAccounts(async (store, path) => {
      const clock = { now: NOW };
      const options = { actor: "eve@there (pid 7)", now: () => clock.now };
      await withOther(
        path,
        async (other) => {
          const version = await store.version();
          await store.add(ANN, "hash");
          await other.setEnabled("ann", false);
          clock.now++;
          await other.setEnabled("ann", true);
          await store.addKey("ann", mintKey());
          await other.addKey("ann", mintKey());
          await store.setPassword("ann", "new hash");
          await store.revokeKey("ann", 2);
          await other.remove("ann");
          const upTo = await store.version();
          const mine = { at: 0, actor: "tester", account: "ann" };
          const others = { at: NOW + 1, actor: "eve@there (pid 7)", account: "ann" };
          const expected = [
            { ...mine, change: "added" },
            { ...others, at: NOW, change: "disabled" },
            { ...others, change: "enabled" },
            { ...mine, change: "key added", keyId: 1 },
            { ...others, change: "key added", keyId: 2 },
            { ...mine, change: "password set" },
            { ...mine, change: "key revoked", keyId: 2 },
            { ...others, change: "removed" },
          ];
          for (const one of [store, other]) {
            assert.deepEqual(await one.changesSince(version, upTo), expected);
            assert.deepEqual(await one.changesSince(upTo - 3, upTo - 1), expected.slice(5, 7));
            assert.deepEqual(await one.changesSince(upTo, upTo), []);
          }
        },
        options,
      );
    }));

  test("what changes nothing, or only a password's hash, is not told as a change", () =>
    withAccounts(async (store) => {
      const { id } = await store.add(ANN, "hash");
      const version = await store.version();
      await store.setEnabled("ann", true);
      assert.equal(await store.rehash(id, "another hash", "new hash"), false);
      await assert.rejects(store.revokeKey("ann", 1), refused("not_found"));
      assert.equal(await store.version(), version);
      assert.equal(await store.rehash(id, "hash", "new hash"), true);
      const rehashed = await store.version();
      assert.ok(rehashed > version);
      assert.deepEqual(await store.changesSince(version, rehashed), []);
    }));

  test("the last 1,000 changes are kept", () =>
    withAccounts(async (store, path) => {
      await store.add(ANN, null);
      connect(path, (db) =>
        db.exec(`
          WITH RECURSIVE more (id) AS (VALUES (2) UNION ALL SELECT id + 1 FROM more WHERE id < 1000)
          INSERT INTO account_changes SELECT id, ${NOW}, 'many', 'ann', 'enabled', NULL FROM more;
        `),
      );
      const told = async () => {
        const changes = await store.changesSince(0, await store.version());
        return [changes.length, changes[0]?.change, changes.at(-1)?.change];
      };
      assert.deepEqual(await told(), [1_000, "added", "enabled"]);
      await store.setEnabled("ann", false);
      assert.deepEqual(await told(), [1_000, "enabled", "disabled"]);
      assert.equal(await store.version(), 1_001);
    }));

  test("the use of a key is noted, which is no change", () =>
    withAccounts(async (store) => {
      await store.add(ANN, null);
      const { id } = await store.addKey("ann", mintKey());
      const version = await store.version();
      await store.noteKeyUse(id, NOW + 5);
      await store.noteKeyUse(id + 1, NOW + 6);
      assert.equal(await store.version(), version);
      const [ann] = (await store.load()).accounts;
      assert.equal(ann?.keys[0]?.lastUsedAt, NOW + 5);
    }));

  test("the use of a key waits for nobody who writes, and is noted when they are done", () =>
    withAccounts(async (store, path) => {
      await store.add(ANN, null);
      const { id } = await store.addKey("ann", mintKey());
      const { id: other } = await store.addKey("ann", mintKey());
      const writer = new Sqlite(path);
      writer.exec("BEGIN IMMEDIATE");
      let noted = 0;
      const notes = [NOW + 5, NOW + 9, NOW + 7].map((at) =>
        store.noteKeyUse(id, at).then(() => noted++),
      );
      notes.push(store.noteKeyUse(other, NOW + 1).then(() => noted++));
      // It tries more than once meanwhile.
      for (let look = 0; look < 5; look++) await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(noted, 0);
      writer.exec("COMMIT");
      writer.close();
      await Promise.all(notes);
      const [ann] = (await store.load()).accounts;
      assert.deepEqual(
        ann?.keys.map(({ lastUsedAt }) => lastUsedAt),
        [NOW + 9, NOW + 1],
      );
    }));

  test("the use of a key is noted without a sync, and changes are synced as before", () =>
    withFolder(async (folder) => {
      const path = join(folder, "latchkey.db");
      const { exec, pragma } = Sqlite.prototype;
      const levels: unknown[] = [];
      const store = openAccounts(path);
      try {
        await store.add(ANN, null);
        const { id } = await store.addKey("ann", mintKey());
        Sqlite.prototype.pragma = function (this: Sqlite.Database, source, options) {
          if (/^synchronous = /.test(source)) levels.push(source);
          return pragma.call(this, source, options);
        };
        await store.noteKeyUse(id, NOW);
        assert.deepEqual(levels, ["synchronous = NORMAL", "synchronous = FULL"]);
      } finally {
        Object.assign(Sqlite.prototype, { exec, pragma });
        store.close();
      }
    }));

  test("a use that waits when the accounts are closed is noted, unless others write", () =>
    withFolder(async (folder) => {
      const path = join(folder, "latchkey.db");
      const store = openAccounts(path);
      await store.add(ANN, null);
      const { id } = await store.addKey("ann", mintKey());
      const note = store.noteKeyUse(id, NOW + 5);
      store.close();
      await note;
      const again = openAccounts(path);
      const [ann] = (await again.load()).accounts;
      assert.equal(ann?.keys[0]?.lastUsedAt, NOW + 5);
      again.close();
    }));

  test("a change that was answered outlives the process, and is synced by SQLite", () =>
    withAccounts(async (store, path) => {
      const child = await runChild(`
        import { openAccountStore } from "${ACCOUNTS}";
        const store = openAccountStore({ path: ${JSON.stringify(path)}, actor: "", now: Date.now });
        await store.add(${JSON.stringify(ANN)}, null);
        ready();
      `);
      await child.kill();
      assert.equal((await store.load()).accounts.length, 1);

      const prepare = mock.method(Sqlite.prototype, "prepare");
      const other = openAccounts(path);
      const connection: unknown = prepare.mock.calls.at(-1)?.this;
      prepare.mock.restore();
      assert.ok(connection instanceof Sqlite);
      await other.add(BOB, null);
      // 2 is FULL. The library's own default shows only after a connection's first write.
      assert.equal(connection.pragma("synchronous", { simple: true }), 2);
      other.close();
    }));

  test("after close, every call is refused as unavailable", () =>
    withAccounts(async (store) => {
      store.close();
      store.close();
      for (const call of [store.load, store.version, () => store.add(ANN, null)]) {
        await assert.rejects(call(), refused("unavailable"));
      }
    }));
});

describe("the database file of accounts", () => {
  test("it is made where it is missing, closed to other users", () =>
    withFolder((folder) => {
      const umask = process.umask(0);
      try {
        const path = join(folder, "a", "latchkey.db");
        const store = openAccounts(path);
        const mode = (file: string) => statSync(file).mode & 0o777;
        for (const file of [path, `${path}-wal`, `${path}-shm`]) assert.equal(mode(file), 0o600);
        assert.equal(mode(join(folder, "a")), 0o700);
        store.close();
      } finally {
        process.umask(umask);
      }
    }));

  test("it is the server's, too, whoever makes it", () =>
    withAccounts(async (store, path) => {
      await store.add(ANN, null);
      const sessions = openQuietly(path);
      await createTrial({ store: sessions }).add();
      await store.add(BOB, null);
      await sessions.close();
      assert.equal((await store.load()).accounts.length, 2);
    }));

  test("changes and sessions are written side by side, and both are kept", () =>
    withDatabase(async (trial) => {
      const accounts = openAccounts(trial.path);
      const { add } = createTrial(trial);
      for (let round = 0; round < 20; round++) {
        await Promise.all([add(), accounts.add({ ...ANN, name: `ann ${round}` }, null)]);
      }
      assert.equal(trial.store.stats().sessions, 20);
      assert.equal((await accounts.load()).accounts.length, 20);
      accounts.close();
    }));

  test("keeps no more accounts than may be", () =>
    withFolder(async (folder) => {
      const accounts = openAccounts(join(folder, "latchkey.db"), { maxAccounts: 2 });
      await accounts.add(ANN, null);
      await accounts.add({ ...ANN, name: "bob" }, null);
      await assert.rejects(accounts.add({ ...ANN, name: "carl" }, null), refused("limit"));
      await assert.rejects(accounts.add(ANN, null), refused("exists"));
      await accounts.remove("bob");
      await accounts.add({ ...ANN, name: "carl" }, null);
      accounts.close();
    }));

  test("an older one gets its accounts when it is opened", () =>
    withDatabase(async (trial) => {
      const { store, path, tamper } = trial;
      const { session, tokenHash } = await createTrial(trial).add();
      await store.close();
      tamper(`
        DROP TABLE api_keys; DROP TABLE accounts; DROP TABLE account_changes;
        DROP TABLE app_policies;
        DROP TABLE rotated_tokens; DROP TABLE requests; DROP TABLE events; DROP TABLE bulk_ends;
        CREATE INDEX sessions_by_access ON sessions (app_id, last_accessed_at);
        ALTER TABLE apps DROP COLUMN sessions; ALTER TABLE apps DROP COLUMN data_bytes;
        ALTER TABLE apps DROP COLUMN answer_bytes;
        ALTER TABLE apps DROP COLUMN logged_from; ALTER TABLE apps DROP COLUMN logged_until;
        ALTER TABLE totals DROP COLUMN first_revision;
        ALTER TABLE sessions DROP COLUMN spare_token;
        PRAGMA user_version = 1;
      `);
      const accounts = openAccounts(path);
      await accounts.add(ANN, null);
      accounts.close();
      const reopened = await trial.reopen();
      assert.deepEqual(await reopened.peek("shop", tokenHash, NOW), session);
    }));

  test("several processes may make it at once", () =>
    withFolder(async (folder) => {
      const path = join(folder, "data", "latchkey.db");
      const names = ["one", "three", "two"];
      const children = names.map((name) =>
        runChild(`
          import { readdirSync, writeFileSync } from "node:fs";
          import { openAccountStore } from "${ACCOUNTS}";
          // Started together: who is loaded waits for the others.
          writeFileSync(${JSON.stringify(join(folder, name))}, "");
          while (readdirSync(${JSON.stringify(folder)}).length < 3) await new Promise(setImmediate);
          const store = openAccountStore({
            path: ${JSON.stringify(path)}, actor: "", now: Date.now,
          });
          await store.add({ name: "${name}", role: "User", apps: [], rke: false }, null);
          store.close();
          ready();
        `),
      );
      for (const child of await Promise.all(children)) await child.kill();
      const { accounts, version } = await withOther(path, (store) => store.load());
      assert.deepEqual(accounts.map(({ account }) => account.name).sort(), names);
      assert.equal(version, 3);
    }));

  test("one that another process is just making is waited for", () =>
    withFolder(async (folder) => {
      const path = join(folder, "latchkey.db");
      const other = await runChild(`
        const db = connect(${JSON.stringify(path)});
        db.exec("BEGIN IMMEDIATE");
        setTimeout(() => db.exec("COMMIT"), 200);
        ready();
      `);
      openAccounts(path).close();
      await other.kill();
    }));

  test("a change that another process's write holds up too long is refused", () =>
    withAccounts(async (store, path) => {
      const writer = new Sqlite(path);
      const impatient = openAccounts(path, { busyTimeout: 0 });
      writer.exec("BEGIN IMMEDIATE");
      await assert.rejects(impatient.add(ANN, null), refused("unavailable"));
      assert.deepEqual((await impatient.load()).accounts, []);
      writer.exec("ROLLBACK");
      writer.close();
      await impatient.add(ANN, null);
      impatient.close();
      assert.equal((await store.load()).accounts.length, 1);
    }));

  test("what cannot be used is refused in one line that names it", () =>
    withFolder((folder) => {
      const garbage = join(folder, "garbage.db");
      writeFileSync(garbage, "this is no database, and long enough to be none".repeat(100));
      const isFolder = join(folder, "folder");
      mkdirSync(isFolder);
      const later = join(folder, "later.db");
      connect(later, (db) => db.pragma("user_version = 99"));
      for (const path of [garbage, isFolder, later]) {
        assert.throws(() => openAccounts(path), refused("unavailable"));
        assert.ok(!existsSync(`${path}-wal`));
      }
    }));
});
