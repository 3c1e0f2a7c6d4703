import assert from "node:assert/strict";
import { describe, test } from "node:test";
import Sqlite from "better-sqlite3";
import { LatchkeyError } from "../../../src/domain/error.js";
import type { SessionStore } from "../../../src/domain/sessions/session-store.js";
import type { TokenHash } from "../../../src/domain/token.js";
import {
  openDirectWriter,
  type Writer,
  type WriterOptions,
} from "../../../src/stores/sqlite/commit/writer.js";
import { openQuietly, withFolder } from "../../support/stores/database.js";
import { turns } from "../../support/stores/faulty-disk.js";
import { createTrial, NOW, SECOND, setKey } from "../../support/stores/fixture.js";

/** A store over a real file whose writes reach the disk only when the test says so. */
interface HeldDisk {
  readonly store: SessionStore;
  /** Ends the oldest commit under way. */
  readonly settle: (error?: Error) => void;
  /** Ends commits until none is under way. */
  readonly settleAll: () => Promise<void>;
  /** Calls of each commit that was begun. */
  readonly commits: readonly number[];
  readonly fatal: readonly unknown[];
}

async function withHeldDisk(body: (disk: HeldDisk) => Promise<void>): Promise<void> {
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
    const settle = (error?: Error) => held.shift()?.(error);
    const settleAll = async () => {
      for (await turns(20); held.length > 0; await turns(20)) settle();
    };
    await body({ store, settle, settleAll, commits, fatal });
    const closed = store.close();
    await settleAll();
    await closed;
  });
}

const diskFull = () => new Sqlite.SqliteError("the disk is full", "SQLITE_FULL");

/** Whether the promise is settled after the event loop has turned some times. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = () => {
    settled = true;
  };
  promise.then(note, note);
  await turns(20);
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

  test("serves reads meanwhile, and is given the writes of a turn together", () =>
    withHeldDisk(async ({ store, settle, commits }) => {
      const { mint } = createTrial({ store });
      const [first, ...others] = [mint(), mint(), mint(), mint()];
      const one = store.create(first.session, first.tokenHash);
      await turns(20);
      const rest = others.map(({ session, tokenHash }) => store.create(session, tokenHash));
      assert.equal(await store.peek("shop", mint().tokenHash, NOW), null);
      await turns(20);
      assert.deepEqual(commits, [1, 3]);
      settle();
      await one;
      settle();
      await Promise.all(rest);
    }));

  test("gets what builds on writes under way, and answers it after them", () =>
    withHeldDisk(async ({ store, settle, commits }) => {
      const { mint } = createTrial({ store });
      const first = mint();
      const one = store.create(first.session, first.tokenHash);
      await turns(20);
      const many = Array.from({ length: 5 }, () => mint());
      const rest = many.map(({ session, tokenHash }) => store.create(session, tokenHash));
      // Both build on what is not on disk yet.
      const changed = store.update("shop", first.tokenHash, NOW, setKey("a", 1));
      const missing = store.delete("shop", { tokenHash: mint().tokenHash }, NOW);
      await turns(20);
      assert.deepEqual(commits, [1, 7]);
      assert.equal(await isSettled(Promise.race([changed, missing])), false);
      settle();
      await one;
      assert.equal(await isSettled(Promise.race([changed, missing])), false);
      settle();
      await Promise.all(rest);
      assert.deepEqual((await changed)?.after.data["a"], 1);
      assert.equal(await missing, false);
    }));

  test("counts users by touches that are on their way to it", (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    return withHeldDisk(async ({ store, settle, settleAll }) => {
      const { session, tokenHash } = createTrial({ store }).mint();
      const created = store.create(session, tokenHash);
      await turns(20);
      settle();
      await created;
      await store.touch("shop", tokenHash, NOW + SECOND);
      context.mock.timers.tick(SECOND);
      await turns(20);
      const counted = store.countActiveUsers("shop", NOW + SECOND, NOW + SECOND);
      await settleAll();
      assert.equal(await counted, 1);
    });
  });

  test("that fails, says that the outcome is unknown, and serves nothing more", () =>
    withHeldDisk(async ({ store, settle, fatal }) => {
      const { mint } = createTrial({ store });
      const lost = mint();
      const created = store.create(lost.session, lost.tokenHash);
      await turns(20);
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

describe("a touch of a session whose update fails", () => {
  const withSession = (body: (disk: HeldDisk & { tokenHash: TokenHash }) => Promise<void>) =>
    withHeldDisk(async (disk) => {
      const { session, tokenHash } = createTrial(disk).mint();
      const created = disk.store.create(session, tokenHash);
      await disk.settleAll();
      await created;
      await body({ ...disk, tokenHash });
    });

  test("stays if it came before, and reaches the file within a second all the same", (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    return withSession(async ({ store, tokenHash, settle, settleAll, commits }) => {
      await store.touch("shop", tokenHash, NOW + 1);
      const updated = store.update("shop", tokenHash, NOW + 2, setKey("a", 1));
      await turns(20);
      // The touches are due while the update has taken this one with it.
      context.mock.timers.tick(SECOND);
      settle(diskFull());
      await assert.rejects(updated);
      await settleAll();
      const reads = async () => (await store.peek("shop", tokenHash, NOW + 2))?.reads;
      assert.equal(await reads(), 2);

      const before = commits.length;
      context.mock.timers.tick(SECOND);
      await settleAll();
      assert.deepEqual(commits.slice(before), [1]);
    });
  });

  test("stays if it came after", () =>
    withSession(async ({ store, tokenHash, settle }) => {
      const updated = store.update("shop", tokenHash, NOW, setKey("a", 1));
      await turns(20);
      assert.equal((await store.touch("shop", tokenHash, NOW + 5))?.after.data["a"], 1);
      settle(diskFull());
      await assert.rejects(updated);
      const { reads, lastAccessedAt, data } = (await store.peek("shop", tokenHash, NOW + 5)) ?? {};
      assert.deepEqual([reads, lastAccessedAt, data?.["a"]], [2, NOW + 5, undefined]);
    }));
});
