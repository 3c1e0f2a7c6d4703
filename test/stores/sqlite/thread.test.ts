import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import type { SessionStore } from "../../../src/domain/sessions/session-store.js";
import { openThreadWriter } from "../../../src/stores/sqlite/commit/client.js";
import { openPrefetch } from "../../../src/stores/sqlite/prefetch/client.js";
import {
  createDatabase,
  openQuietly,
  withDatabase,
  withFolder,
} from "../../support/stores/database.js";
import {
  createTrial,
  hasCode,
  listAll,
  type Minted,
  NOW,
  setKey,
} from "../../support/stores/fixture.js";
import { storeSuite } from "../suite/suite.js";

const inThread = { openWriter: openThreadWriter, openPrefetch };

// As it runs in a server; the thread runs what is built.
storeSuite("SQLite store that writes in a thread", (quotas) =>
  createDatabase({ ...inThread, quotas }),
);

describe("a SQLite store that writes in a thread", () => {
  test("a transaction that fails takes back what followed, and all but its cause is done again", () =>
    withDatabase(async (trial) => {
      const { store } = trial;
      const { add, mint } = createTrial(trial);
      const known = await add();
      trial.tamper(`CREATE TRIGGER poison AFTER INSERT ON sessions WHEN NEW.user_id = 'poison'
        BEGIN SELECT RAISE(ROLLBACK, 'poison'); END;`);
      const outcomes: Promise<string>[] = [];
      // At once: one may be refused before the last turn.
      const note = (call: Promise<unknown>) =>
        outcomes.push(
          call.then(
            () => "fulfilled",
            () => "rejected",
          ),
        );
      const expected: string[] = [];
      const many: string[] = [];
      // Turn after turn, so that batches follow each other while the first is under way.
      for (let turn = 0; turn < 20; turn++) {
        for (let call = 0; call < 10; call++) {
          const isPoison = turn % 7 === 0 && call === 5;
          const one = mint(isPoison ? { userId: "poison" } : {});
          note(store.create(one.session, one.tokenHash));
          expected.push(isPoison ? "rejected" : "fulfilled");
          if (!isPoison) many.push(one.session.id);
        }
        note(store.update("shop", known.tokenHash, NOW, setKey(`turn${turn}`, turn)));
        expected.push("fulfilled");
        await new Promise(setImmediate);
      }
      assert.deepEqual(await Promise.all(outcomes), expected);
      const check = async (one: SessionStore) => {
        const { writes, data } = (await one.peek("shop", known.tokenHash, NOW)) ?? {};
        assert.equal(writes, 21);
        assert.equal(Object.keys(data ?? {}).filter((key) => key.startsWith("turn")).length, 20);
        const listed = (await listAll(one, "shop", NOW)).map(({ id }) => id);
        assert.deepEqual(listed.toSorted(), [known.session.id, ...many].toSorted());
        assert.equal(one.stats().sessions, many.length + 1);
      };
      await check(store);
      await check(await trial.reopen());
    }, inThread));

  test("the observer is told every write once, and of transactions that took time", () =>
    withDatabase(async (trial) => {
      await createTrial(trial).addMany(1_000);
      const { commits, seconds } = trial.seen;
      assert.equal(
        commits.reduce((sum, calls) => sum + calls, 0),
        1_000,
      );
      assert.ok(seconds.every((one) => one > 0));
    }, inThread));

  test("a thread that ends by a failure is closed all the same", () =>
    withFolder(async (folder) => {
      const writer = openThreadWriter({
        path: join(folder, "no-such-folder", "latchkey.db"),
        file: 0,
        committed: () => undefined,
        onBroken: () => undefined,
      });
      await writer.close();
    }));

  test("a thread that cannot work is a broken disk: told once, and nothing is served", () =>
    withFolder((folder) =>
      withDatabase(
        async (trial) => {
          const { store, fatal } = trial;
          const { mint } = createTrial(trial);
          for (let attempt = 0; attempt < 2; attempt++) {
            const { session, tokenHash } = mint();
            await assert.rejects(
              async () => store.create(session, tokenHash),
              hasCode("unavailable"),
            );
          }
          assert.equal(fatal.length, 1);
          await assert.rejects(store.ping(), hasCode("unavailable"));
        },
        {
          openWriter: (options) =>
            openThreadWriter({ ...options, path: join(folder, "no-such-folder", "latchkey.db") }),
        },
      ),
    ));

  // The thread that copies takes longer to start than some writes do.
  for (const [when, most] of [
    ["while others are written", 2_000],
    ["after the last one", 25],
  ] as const) {
    test(`a copy of the log that cannot be synced breaks the disk and leaves the log, ${when}`, () =>
      withFolder((folder) =>
        withDatabase(
          async ({ store, fatal, path }) => {
            const { mint } = createTrial({ store });
            const written: Minted[] = [];
            for (let refusal: unknown; !refusal && written.length < most; ) {
              const one = mint();
              await Promise.resolve(store.create(one.session, one.tokenHash)).then(
                () => written.push(one),
                (error) => {
                  refusal = error;
                },
              );
              if (refusal) assert.ok(hasCode("unavailable")(refusal));
            }
            await store.close();
            assert.equal(fatal.length, 1);
            for (const file of ["latchkey.db", "latchkey.db-wal"]) {
              copyFileSync(join(dirname(path), file), join(folder, file));
            }
            const restarted = openQuietly(join(folder, "latchkey.db"));
            for (const { session, tokenHash } of written) {
              assert.deepEqual(await restarted.peek("shop", tokenHash, NOW), session);
            }
            await restarted.close();
          },
          {
            // No such file is open.
            openWriter: (options) => openThreadWriter({ ...options, maxPages: 100, file: 2 ** 20 }),
          },
        ),
      ));
  }
});
