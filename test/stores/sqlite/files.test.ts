import assert from "node:assert/strict";
import { copyFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { LatchkeyError } from "../../../src/domain/error.js";
import type { SessionStore } from "../../../src/domain/sessions/session-store.js";
import { openQuietly, withFolder } from "../../support/stores/database.js";
import { createMint, createTrial, NOW } from "../../support/stores/fixture.js";

/** A store whose files are looked at when the test says so, and what it told. */
function openWatched(path: string) {
  const fatal: unknown[] = [];
  const looks = new Set<() => void>();
  const store = openQuietly(path, {
    onFatal: (error) => fatal.push(error),
    every(_, work) {
      looks.add(work);
      return () => looks.delete(work);
    },
  });
  return {
    store,
    fatal,
    looks,
    look() {
      for (const work of looks) work();
    },
  };
}

/** Asserts that the store does nothing any more, and says so without a path. */
async function assertRefuses(store: SessionStore, path: string): Promise<void> {
  const { add } = createTrial({ store });
  const refused = (error: unknown) => {
    assert.ok(error instanceof LatchkeyError && error.code === "unavailable", String(error));
    assert.ok(!error.message.includes(path), error.message);
    return true;
  };
  await assert.rejects(add(), refused);
  await assert.rejects(async () => store.peek("shop", createMint()().tokenHash, NOW), refused);
  await assert.rejects(store.ping(), refused);
}

/** A copy that has another inode than the file of now, though the same content. */
function replace(path: string): void {
  copyFileSync(path, `${path}.new`);
  renameSync(`${path}.new`, path);
}

describe("the files of an open database", () => {
  for (const suffix of ["", "-wal", "-shm", ".lock"]) {
    for (const [what, change] of [
      ["deleted", (path: string) => rmSync(path)],
      ["replaced", replace],
    ] as const) {
      test(`latchkey.db${suffix} that is ${what} ends the store, and is named once`, () =>
        withFolder(async (folder) => {
          const path = join(folder, "latchkey.db");
          const { store, fatal, look, looks } = openWatched(path);
          await createTrial({ store }).add();
          look();
          assert.equal(fatal.length, 0);
          change(`${path}${suffix}`);
          look();
          look();
          assert.equal(fatal.length, 1);
          const message = fatal[0] instanceof LatchkeyError ? fatal[0].message : "";
          assert.ok(message.startsWith(`${path}${suffix} was deleted or replaced`), message);
          await assertRefuses(store, path);
          assert.equal(looks.size, 0);
          await store.close();
        }));
    }
  }

  test("a store that is used, and whose log begins anew, keeps its files", () =>
    withFolder(async (folder) => {
      const path = join(folder, "latchkey.db");
      const { store, fatal, look, looks } = openWatched(path);
      const { addMany } = createTrial({ store });
      const { ino } = statSync(`${path}-wal`);
      for (let round = 0; round < 20; round++) {
        await addMany(200, () => ({ data: { long: "x".repeat(2_000) } }));
        look();
      }
      assert.equal(statSync(`${path}-wal`).ino, ino);
      assert.deepEqual(fatal, []);
      await store.close();
      assert.equal(looks.size, 0);
    }));

  test("a second store waits for one whose lock was deleted to notice", () =>
    withFolder(async (folder) => {
      const path = join(folder, "latchkey.db");
      const first = openWatched(path);
      const { session, tokenHash } = await createTrial({ store: first.store }).add();
      rmSync(`${path}.lock`);
      const rests: number[] = [];
      const second = openQuietly(path, {
        rest(milliseconds) {
          rests.push(milliseconds);
          // What the first one's timer does meanwhile.
          first.look();
        },
      });
      assert.equal(rests.length, 1);
      assert.equal(first.fatal.length, 1);
      await assertRefuses(first.store, path);
      // What ends at the second is alive nowhere.
      assert.deepEqual(await second.peek("shop", tokenHash, NOW), session);
      assert.equal(await second.delete("shop", { tokenHash }, NOW), true);
      await assert.rejects(async () => first.store.peek("shop", tokenHash, NOW));
      await second.close();
      await first.store.close();
    }));

  test("a start over a database that nobody uses waits for nobody", () =>
    withFolder(async (folder) => {
      const path = join(folder, "latchkey.db");
      const rest = () => assert.fail("it waited");
      await openQuietly(path, { rest }).close();
      rmSync(`${path}.lock`);
      await openQuietly(path, { rest }).close();
    }));
});
