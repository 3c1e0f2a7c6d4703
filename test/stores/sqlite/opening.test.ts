import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { LatchkeyError } from "../../../src/domain/error.js";
import { idempotencyKeyOf, KEPT } from "../../../src/domain/sessions/idempotency-key.js";
import { DEFAULT_QUOTAS } from "../../../src/domain/sessions/quotas.js";
import {
  appUsages,
  catchConnection,
  connect,
  openQuietly,
  withDatabase,
  withFolder,
} from "../../support/stores/database.js";
import { createMint, createTrial, hasCode, NOW } from "../../support/stores/fixture.js";
import { runChild } from "../../support/stores/process.js";

/** A refusal to open, in one line that contains `text`. */
function refusal(text: string) {
  return (error: unknown) => {
    assert.ok(error instanceof LatchkeyError, String(error));
    assert.equal(error.code, "unavailable");
    assert.ok(!error.message.includes("\n"));
    assert.ok(error.message.includes(text), error.message);
    return true;
  };
}

/** `PRAGMA synchronous` as a number. */
const FULL = 2;

const mode = (path: string) => statSync(path).mode & 0o777;

describe("opening a SQLite store", () => {
  test("commits go to a write-ahead log that is synced at each", () =>
    withDatabase(async (trial) => {
      const { store, connection } = trial;
      const pragmas = () =>
        ["synchronous", "journal_mode", "foreign_keys"].map((name) =>
          connection.pragma(name, { simple: true }),
        );
      assert.deepEqual(pragmas(), [FULL, "wal", 1]);
      // The library's own default shows only after a connection's first write.
      await createTrial(trial).add();
      assert.deepEqual(pragmas(), [FULL, "wal", 1]);
      await store.close();
    }));

  test("and so they do in a database made before", () =>
    withFolder(async (folder) => {
      const path = join(folder, "latchkey.db");
      await openQuietly(path).close();
      const { store, connection } = catchConnection(() => openQuietly(path));
      await createTrial({ store }).add();
      assert.equal(connection.pragma("synchronous", { simple: true }), FULL);
      await store.close();
    }));

  test("the files and a folder made for them are closed to other users", () =>
    withFolder(async (folder) => {
      const umask = process.umask(0);
      try {
        const path = join(folder, "a", "b", "latchkey.db");
        const store = openQuietly(path);
        await createTrial({ store }).add();
        for (const file of [path, `${path}-wal`, `${path}-shm`]) assert.equal(mode(file), 0o600);
        for (const made of ["a", "a/b"]) assert.equal(mode(join(folder, made)), 0o700);
        await store.close();
        assert.equal(mode(path), 0o600);
      } finally {
        process.umask(umask);
      }
    }));

  test("a second store over the file is refused, and the first works on", () =>
    withDatabase(async ({ store, path }) => {
      const { session, tokenHash } = await createTrial({ store }).add();
      for (let attempt = 0; attempt < 3; attempt++) {
        assert.throws(() => openQuietly(path), refusal(path));
      }
      const link = `${path}.link`;
      symlinkSync(path, link);
      assert.throws(() => openQuietly(link), refusal(path));

      await store.touch("shop", tokenHash, NOW);
      const change = await store.update("shop", tokenHash, NOW, (same) => same);
      assert.deepEqual(change?.after, { ...session, reads: 2 });
    }));

  test("the file may be opened again once its store is closed", () =>
    withDatabase(async ({ store, path }) => {
      await store.close();
      await openQuietly(path).close();
      await openQuietly(path).close();
    }));

  test("a killed process leaves its sessions and no lock", () =>
    withFolder(async (folder) => {
      const path = join(folder, "latchkey.db");
      const { session, tokenHash } = createMint()();
      const holder = await runChild(`
        const store = open(${JSON.stringify(path)});
        await store.create(${JSON.stringify(session)}, ${JSON.stringify(tokenHash)});
        ready();
      `);
      try {
        assert.throws(() => openQuietly(path), refusal(path));
      } finally {
        await holder.kill();
      }
      const store = openQuietly(path);
      assert.deepEqual(await store.peek("shop", tokenHash, NOW), session);
      assert.equal(store.stats().sessions, 1);
      await store.close();
    }));

  test("a refused open leaves the locks of the open store alone", () =>
    withDatabase(async (trial) => {
      const { path } = trial;
      await createTrial(trial).add();
      assert.throws(() => openQuietly(path), refusal(path));
      // Another process gets the file for itself only where nobody else has it.
      const other = await runChild(`
        const db = connect(${JSON.stringify(path)});
        db.pragma("locking_mode = EXCLUSIVE");
        let refused = false;
        try {
          db.exec("SELECT count(*) FROM sessions");
        } catch (error) {
          refused = error.code === "SQLITE_BUSY";
        }
        if (refused) ready();
        else process.exit(1);
      `);
      await other.kill();
    }));

  test("a database of a later version is refused and left alone", () =>
    withDatabase(async ({ store, path, inspect, tamper }) => {
      await store.close();
      const known = inspect((db) => db.pragma("user_version", { simple: true })) as number;
      tamper(`PRAGMA user_version = ${known + 1}`);
      const before = readFileSync(path);
      for (let attempt = 0; attempt < 2; attempt++) {
        assert.throws(() => openQuietly(path), refusal(`schema ${known + 1}`));
      }
      assert.deepEqual(readFileSync(path), before);
      // The refusal keeps no lock.
      tamper(`PRAGMA user_version = ${known}`);
      await openQuietly(path).close();
    }));

  test("a database of before gets the counts of each app, and its kept answers count for none", () =>
    withDatabase(async (trial) => {
      const { store, tamper, inspect } = trial;
      const { addMany, mint } = createTrial(trial);
      await addMany(3, (index) => ({ data: { text: "é".repeat(index * 10_000) } }));
      await addMany(2, () => ({ app: "forum" }));
      const once = (now: number) =>
        idempotencyKeyOf("CreateSession", { app: "shop", requestId: "r", now }, {});
      const kept = mint();
      await store.create(kept.session, kept.tokenHash, once(NOW));
      await store.close();
      const { counted } = inspect(appUsages);
      tamper(`
        ALTER TABLE apps DROP COLUMN sessions; ALTER TABLE apps DROP COLUMN data_bytes;
        ALTER TABLE apps DROP COLUMN answer_bytes; ALTER TABLE requests DROP COLUMN app_id;
        PRAGMA user_version = 8;
      `);
      const reopened = await trial.reopen();
      const { stated } = inspect(appUsages);
      assert.deepEqual(
        stated.map(({ sessions, dataBytes, answerBytes }) => [sessions, dataBytes, answerBytes]),
        counted.map(({ sessions, dataBytes }) => [sessions, dataBytes, 0]),
      );
      const again = mint();
      const answer = await reopened.create(again.session, again.tokenHash, once(NOW));
      assert.deepEqual(answer.session, kept.session);
      // One that takes its place counts, once.
      await reopened.create(again.session, again.tokenHash, once(NOW + KEPT));
    }));

  test("apps that there is nothing of are forgotten at a start, and no others", () =>
    withDatabase(
      async (trial) => {
        const { store } = trial;
        const { add, mint } = createTrial(trial);
        const gone = await add({ app: "gone" });
        await store.delete("gone", { tokenHash: gone.tokenHash }, NOW);
        await add({ app: "used" });
        await store.events.watch("watched", Date.now());
        await assert.rejects(add({ app: "fourth" }), hasCode("limit"));
        const reopened = await trial.reopen();
        const { session, tokenHash } = mint({ app: "fourth" });
        await reopened.create(session, tokenHash);
        const names = trial.inspect((db) => db.prepare("SELECT name FROM apps").pluck().all());
        assert.deepEqual(names.toSorted(), ["fourth", "used", "watched"]);
      },
      { quotas: { ...DEFAULT_QUOTAS, apps: 3 } },
    ));

  test("a file that is no database is refused and left alone", () =>
    withFolder((folder) => {
      const path = join(folder, "notes.txt");
      const text = "These are notes.\n".repeat(1_000);
      writeFileSync(path, text);
      assert.throws(() => openQuietly(path), refusal(path));
      assert.equal(readFileSync(path, "utf8"), text);
    }));

  test("a database of another program is refused and left alone", () =>
    withFolder((folder) => {
      const path = join(folder, "other.db");
      connect(path, (db) => db.exec("CREATE TABLE sessions (mine TEXT)"));
      assert.throws(() => openQuietly(path), refusal(path));
      connect(path, (db) => {
        const tables = db.prepare("SELECT name FROM sqlite_master").pluck().all();
        assert.deepEqual(tables, ["sessions"]);
        assert.equal(db.pragma("user_version", { simple: true }), 0);
      });
    }));

  test("a place where no file or no lock can be is refused", () =>
    withFolder((folder) => {
      const file = join(folder, "file");
      writeFileSync(file, "");
      const inFile = join(file, "latchkey.db");
      assert.throws(() => openQuietly(inFile), refusal(inFile));
      const isFolder = join(folder, "folder");
      mkdirSync(isFolder);
      assert.throws(() => openQuietly(isFolder), refusal(isFolder));
      const unlockable = join(folder, "latchkey.db");
      mkdirSync(`${unlockable}.lock`);
      assert.throws(() => openQuietly(unlockable), refusal(unlockable));
    }));
});
