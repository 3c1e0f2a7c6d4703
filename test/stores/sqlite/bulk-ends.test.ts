import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { describe, test } from "node:test";
import { idempotencyKeyOf } from "../../../src/domain/sessions/idempotency-key.js";
import type { SessionEvent } from "../../../src/domain/sessions/session-event.js";
import type { TokenHash } from "../../../src/domain/token.js";
import { openDirectWriter } from "../../../src/stores/sqlite/commit/writer.js";
import { openQuietly, withDatabase, withFolder } from "../../support/stores/database.js";
import { createFaultyDisk, turns } from "../../support/stores/faulty-disk.js";
import {
  createTrial,
  hasCode,
  listAll,
  MINUTE,
  NOW,
  sweepAll,
} from "../../support/stores/fixture.js";
import { runChild } from "../../support/stores/process.js";

const BATCH_SIZE = 10;

/** Opens writers of which each transaction notes how many sessions it removes. */
function countRemovals() {
  const removals: number[] = [];
  const openWriter: typeof openDirectWriter = (options) => {
    const writer = openDirectWriter(options);
    return {
      close: writer.close,
      commit(batch) {
        let removed = 0;
        for (const [name, ...values] of batch.writes) {
          if (name === "delete") removed++;
          if (name === "deleteAll") removed += JSON.parse(String(values[0])).length;
        }
        if (removed > 0) removals.push(removed);
        return writer.commit(batch);
      },
    };
  };
  return { removals, openWriter };
}

describe("the ends of many sessions", () => {
  for (const [what, end] of Object.entries({
    "of an app": (trial) => trial.deleteApp("shop", NOW),
    "of a user": (trial) => trial.deleteUser("shop", "ann", NOW),
  } satisfies Record<string, (store: ReturnType<typeof openQuietly>) => Promise<unknown>>)) {
    test(`${what} are removed a batch a transaction`, async () => {
      const { removals, openWriter } = countRemovals();
      await withDatabase(
        async (trial) => {
          await createTrial(trial).addMany(5 * BATCH_SIZE + 1);
          assert.equal(await end(trial.store), 5 * BATCH_SIZE + 1);
          assert.deepEqual(removals, [
            BATCH_SIZE,
            BATCH_SIZE,
            BATCH_SIZE,
            BATCH_SIZE,
            BATCH_SIZE,
            1,
          ]);
        },
        { openWriter, batchSize: BATCH_SIZE },
      );
    });
  }

  test("that is repeated while it is carried out answers the same, and another is refused", () =>
    withDatabase(
      async (trial) => {
        await createTrial(trial).addMany(5 * BATCH_SIZE);
        const onceOfUser = (userId: string) =>
          idempotencyKeyOf(
            "DeleteUserSessions",
            { app: "shop", requestId: "r", now: NOW },
            { userId },
          );
        const end = (userId: string) =>
          trial.store.deleteUser("shop", userId, NOW, undefined, {
            idempotencyKey: onceOfUser(userId),
          });
        const [first, same, other] = await Promise.allSettled([end("ann"), end("ann"), end("bob")]);
        assert.deepEqual(first, { status: "fulfilled", value: 5 * BATCH_SIZE });
        assert.deepEqual(same, first);
        assert.ok(other?.status === "rejected" && hasCode("exists")(other.reason));
        assert.equal(await end("ann"), 5 * BATCH_SIZE);
      },
      { batchSize: BATCH_SIZE },
    ));

  test("as many as one batch holds are one transaction", async () => {
    const { removals, openWriter } = countRemovals();
    await withDatabase(
      async (trial) => {
        await createTrial(trial).addMany(BATCH_SIZE);
        const before = trial.seen.commits.length;
        await trial.store.deleteApp("shop", NOW);
        assert.deepEqual(removals, [BATCH_SIZE]);
        assert.equal(trial.seen.commits.length, before + 1);
      },
      { openWriter, batchSize: BATCH_SIZE },
    );
  });

  test("the sweep removes no more in a transaction than it is told", async () => {
    const { removals, openWriter } = countRemovals();
    await withDatabase(
      async (trial) => {
        await createTrial(trial).addMany(25, () => ({ idleTtl: MINUTE }));
        while (await trial.store.sweep(NOW + MINUTE, 10));
        assert.deepEqual(removals, [10, 10, 5]);
      },
      { openWriter },
    );
  });

  test("a crash in the middle leaves none of an app's sessions alive, and the sweep removes them", () =>
    withFolder(async (folder) => {
      const path = join(folder, "latchkey.db");
      const count = 3_000;
      const child = await runChild(`
        import { createHash } from "node:crypto";
        const store = open(${JSON.stringify(path)});
        const session = {
          app: "shop", ip: "", userAgent: "", data: {}, reads: 1, writes: 1, version: 1,
          createdAt: ${NOW}, lastAccessedAt: ${NOW}, idleTtl: ${MINUTE}, absoluteExpiresAt: null,
        };
        await Promise.all(Array.from({ length: ${count} }, (_, index) => store.create(
          { ...session, userId: "user" + index % 9, id: "019c0000-0000-7000-8000-" + String(index).padStart(12, "0") },
          createHash("sha256").update(String(index)).digest("base64url"),
        )));
        store.deleteApp("shop", ${NOW});
        const look = () => store.stats().sessions < ${count - 300} ? ready() : setImmediate(look);
        look();
      `);
      await child.kill();

      const store = openQuietly(path);
      try {
        const left = store.stats().sessions;
        assert.ok(left > 0 && left < count, `${left} were left to remove`);
        for (let index = 0; index < count; index++) {
          const tokenHash = createHash("sha256").update(String(index)).digest("base64url");
          assert.equal(await store.touch("shop", tokenHash as TokenHash, NOW), null);
        }
        assert.deepEqual(await listAll(store, "shop", NOW), []);
        assert.deepEqual(await listAll(store, "shop", NOW, { userId: "user1" }), []);
        assert.equal(await store.countActiveUsers("shop", 0, NOW), 0);
        const created = await createTrial({ store }).add({
          id: "019d0000-0000-7000-8000-000000000001",
        });
        assert.equal(await store.deleteUser("shop", "user1", NOW), 0);
        await sweepAll(store, NOW);
        assert.equal(store.stats().sessions, 1);
        assert.deepEqual(await store.peek("shop", created.tokenHash, NOW), created.session);
      } finally {
        await store.close();
      }
    }));

  test("those that a failing disk left are dead, and told of as the sweep removes them", async () => {
    const disk = createFaultyDisk();
    const options = { openWriter: disk.openWriter, batchSize: BATCH_SIZE };
    await withDatabase(async (trial) => {
      const { addMany } = createTrial(trial);
      const { store } = trial;
      const adding = addMany(3 * BATCH_SIZE);
      await disk.drain();
      const minted = await adding;
      const watching = store.events.watch("shop", NOW);
      await disk.drain();
      await watching;
      const ended: SessionEvent[] = [];
      store.events.listen({
        happened: (events) => ended.push(...events),
        wantsTouches: () => false,
      });

      const ending = store.deleteApp("shop", NOW + 1);
      ending.catch(() => undefined);
      await turns(2);
      // The mark and the first batch reach the file.
      await disk.drain([null, null, "SQLITE_FULL", "SQLITE_FULL"]);
      await assert.rejects(ending, hasCode("unavailable"));
      assert.equal(ended.length, BATCH_SIZE);
      for (const { tokenHash } of minted) {
        assert.equal(await store.peek("shop", tokenHash, NOW + 1), null);
      }
      await disk.calm();
      await sweepAll(store, NOW + 2);
      assert.equal(store.stats().sessions, 0);
      const reasons = ended.map(({ endReason, occurredAt }) => `${endReason} ${occurredAt - NOW}`);
      assert.deepEqual(
        reasons,
        Array.from({ length: 3 * BATCH_SIZE }, () => "app 1"),
      );
    }, options);
  });

  test("a user keeps the session to be kept, and may be capped meanwhile", () =>
    withDatabase(
      async (trial) => {
        const { store } = trial;
        const { addMany, mint } = createTrial(trial);
        const minted = await addMany(3 * BATCH_SIZE);
        const kept = minted[BATCH_SIZE];
        assert.ok(kept);
        await store.setPolicy("shop", {
          ...store.policy("shop"),
          maxSessionsPerUser: 2,
          atLimit: "refuse",
        });
        const ending = store.deleteUser("shop", "ann", NOW, { tokenHash: kept.tokenHash });
        const [second, third] = [mint(), mint()];
        await store.create(second.session, second.tokenHash);
        await assert.rejects(store.create(third.session, third.tokenHash), hasCode("limit"));
        assert.equal(await ending, 3 * BATCH_SIZE - 1);
        const left = await listAll(store, "shop", NOW, { userId: "ann" });
        assert.deepEqual(left, [second.session, kept.session]);
      },
      { batchSize: BATCH_SIZE },
    ));

  test("a listing does not read what an ended app left to remove", () =>
    withDatabase(
      async (trial) => {
        const { store } = trial;
        const { add, addMany } = createTrial(trial);
        await addMany(2_000);
        const ending = store.deleteApp("shop", NOW);
        await add({ app: "blog" });
        const page = await store.list("shop", NOW, { limit: 10, maxBytes: 1_000 });
        assert.deepEqual(page, { sessions: [], bytes: 0, next: null });
        assert.ok(store.stats().sessions > 1_000);
        await ending;
      },
      { batchSize: BATCH_SIZE },
    ));
});
