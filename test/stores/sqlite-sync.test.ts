import assert from "node:assert/strict";
import { describe, test } from "node:test";
import Sqlite from "better-sqlite3";
import { LatchkeyError } from "../../src/domain/error.js";
import type { SessionStore } from "../../src/domain/session-store.js";
import {
  openDirectWriter,
  type Writer,
  type WriterOptions,
} from "../../src/stores/sqlite/writer.js";
import { openQuietly, withFolder } from "./database.js";
import { createTrial, NOW, setKey } from "./suite/fixture.js";

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
}

/** A store over a real file whose writes reach the disk only when the test says so. */
async function withHeldDisk(
  body: (disk: {
    readonly store: SessionStore;
    /** Ends the oldest commit under way. */
    readonly settle: (error?: Error) => void;
    /** Calls of each commit that was begun. */
    readonly commits: readonly number[];
    readonly fatal: readonly unknown[];
  }) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const held: ((error?: Error) => void)[] = [];
    const commits: number[] = [];
    const fatal: unknown[] = [];
    const openWriter = (options: WriterOptions): Writer => {
      const writer = openDirectWriter(options);
      return {
        ...writer,
        commit: (batch) => {
          commits.push(batch.calls);
          return new Promise((resolve, reject) => {
            held.push((error) => (error ? reject(error) : resolve(writer.commit(batch))));
          });
        },
      };
    };
    const store = openQuietly(`${folder}/latchkey.db`, {
      openWriter,
      onFatal: (error) => fatal.push(error),
    });
    await body({ store, settle: (error) => held.shift()?.(error), commits, fatal });
    await store.close();
  });
}

/** Whether the promise is settled after the event loop has turned some times. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = () => {
    settled = true;
  };
  promise.then(note, note);
  await turns();
  return settled;
}

describe("a store whose disk is slow", () => {
  test("answers a write when it is on disk, and not before", () =>
    withHeldDisk(async ({ store, settle }) => {
      const { session, tokenHash } = createTrial({ store }).mint();
      const created = store.create(session, tokenHash);
      assert.equal(await isSettled(created), false);
      settle();
      await created;

      const ended = store.delete("shop", { tokenHash }, NOW);
      assert.equal(await isSettled(ended), false);
      settle();
      assert.equal(await ended, true);
    }));

  test("serves reads meanwhile, and gathers writes for one commit more", () =>
    withHeldDisk(async ({ store, settle, commits }) => {
      const { mint } = createTrial({ store });
      const [first, ...others] = [mint(), mint(), mint(), mint()];
      const one = store.create(first.session, first.tokenHash);
      await turns();
      const rest = others.map(({ session, tokenHash }) => store.create(session, tokenHash));
      assert.equal(await store.peek("shop", mint().tokenHash, NOW), null);
      await turns();
      assert.deepEqual(commits, [1]);
      settle();
      await one;
      await turns();
      assert.deepEqual(commits, [1, 3]);
      settle();
      await Promise.all(rest);
    }));

  test("gets what is enough for a batch before the one under way is done", () =>
    withHeldDisk(async ({ store, settle, commits }) => {
      const { mint } = createTrial({ store });
      const first = mint();
      const one = store.create(first.session, first.tokenHash);
      await turns();
      const many = Array.from({ length: 20 }, () => mint());
      const rest = many.map(({ session, tokenHash }) => store.create(session, tokenHash));
      // Both build on what is not on disk yet.
      const changed = store.update("shop", first.tokenHash, NOW, setKey("a", 1));
      const missing = store.delete("shop", { tokenHash: mint().tokenHash }, NOW);
      await turns();
      assert.deepEqual(commits, [1, 22]);
      assert.equal(await isSettled(Promise.race([changed, missing])), false);
      settle();
      await one;
      assert.equal(await isSettled(Promise.race([changed, missing])), false);
      settle();
      await Promise.all(rest);
      assert.deepEqual((await changed)?.after.data["a"], 1);
      assert.equal(await missing, false);
    }));

  test("that fails, says that the outcome is unknown, and serves nothing more", () =>
    withHeldDisk(async ({ store, settle, fatal }) => {
      const { mint } = createTrial({ store });
      const lost = mint();
      const created = store.create(lost.session, lost.tokenHash);
      await turns();
      settle(new Sqlite.SqliteError("the disk is gone", "SQLITE_IOERR_FSYNC"));
      await assert.rejects(created, (error) => {
        assert.ok(error instanceof LatchkeyError);
        assert.equal(error.code, "unavailable");
        assert.match(error.message, /unknown what was written/);
        return true;
      });
      assert.equal(fatal.length, 1);
      await assert.rejects(async () => store.peek("shop", lost.tokenHash, NOW));
      const next = mint();
      await assert.rejects(async () => store.create(next.session, next.tokenHash));
    }));
});
