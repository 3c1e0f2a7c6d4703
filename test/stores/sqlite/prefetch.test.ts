import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TokenHash } from "../../../src/domain/token.js";
import {
  type Asked,
  openPrefetch,
  type Prefetch,
  type PrefetchOptions,
} from "../../../src/stores/sqlite/prefetch/client.js";
import type { StoredSession } from "../../../src/stores/sqlite/tables/sessions.js";
import { withDatabase, withFolder } from "../../support/stores/database.js";
import { createFaultyDisk, turns } from "../../support/stores/faulty-disk.js";
import { createTrial, hasCode, type Minted, NOW } from "../../support/stores/fixture.js";

/** Room for no session that was only read. */
const SMALL = { cacheBytes: 2_500 };

/** A prefetch that notes what it is asked for, and has read it when it is told: of `rows`. */
function createHeldPrefetch() {
  const asked: Asked[] = [];
  const rows = new Map<TokenHash, StoredSession>();
  let waiting: (() => void)[] = [];
  const openHeld = (): Prefetch => ({
    session(one) {
      asked.push(one);
      return new Promise((resolve) => {
        waiting.push(() => resolve(rows.get(one.tokenHash) ?? null));
      });
    },
    fill: () => {},
    close: async () => {},
  });
  const release = () => {
    for (const resolve of waiting) resolve();
    waiting = [];
  };
  return { asked, rows, openHeld, release };
}

/** The row of the nth session of a new database, as it was created. */
const rowOf = ({ session, tokenHash }: Minted, row: number): StoredSession => ({
  ...{ row, session, tokenHash },
  dataBytes: Buffer.byteLength(JSON.stringify(session.data)),
  spare: null,
});

describe("a read of a session whose row is read ahead", () => {
  for (const how of ["peek", "touch"] as const) {
    test(`waits for the row if it is not in memory, by ${how}`, () => {
      const { asked, openHeld, release } = createHeldPrefetch();
      return withDatabase(
        async (trial) => {
          const one = await createTrial(trial).add();
          const store = await trial.reopen();
          let isAnswered = false;
          const answer = Promise.resolve(store[how]("shop", one.tokenHash, NOW)).then((found) => {
            isAnswered = true;
            return found && ("after" in found ? found.after.id : found.id);
          });
          await turns(5);
          assert.equal(isAnswered, false);
          assert.deepEqual(asked, [{ app: "shop", appId: 1, tokenHash: one.tokenHash }]);
          release();
          assert.equal(await answer, one.session.id);
          assert.ok(!(store.peek("shop", one.tokenHash, NOW) instanceof Promise));
          assert.equal(asked.length, 1);
        },
        { openPrefetch: openHeld },
      );
    });
  }

  test("takes the row as it was read ahead", () => {
    const { rows, openHeld, release } = createHeldPrefetch();
    return withDatabase(
      async (trial) => {
        const one = await createTrial(trial).add();
        const store = await trial.reopen();
        const session = { ...one.session, userAgent: "as it was read" };
        rows.set(one.tokenHash, rowOf({ ...one, session }, 1));
        const answer = store.peek("shop", one.tokenHash, NOW);
        release();
        assert.deepEqual(await answer, session);
      },
      { openPrefetch: openHeld },
    );
  });

  test("sees what happened to the session meanwhile", () => {
    const { rows, openHeld, release } = createHeldPrefetch();
    return withDatabase(
      async (trial) => {
        const [ended, kept] = await createTrial(trial).addMany(2);
        assert.ok(ended && kept);
        const store = await trial.reopen();
        for (const [index, one] of [ended, kept].entries()) {
          rows.set(one.tokenHash, rowOf(one, index + 1));
        }
        const reads = [ended, kept].map(({ tokenHash }) => store.peek("shop", tokenHash, NOW));
        await store.delete("shop", { tokenHash: ended.tokenHash }, NOW);
        release();
        const [first, second] = await Promise.all(reads);
        assert.equal(first, null);
        assert.deepEqual(second, kept.session);
      },
      { openPrefetch: openHeld },
    );
  });

  test("sees what is about to happen to the session", () => {
    const { rows, openHeld, release } = createHeldPrefetch();
    const disk = createFaultyDisk();
    return withDatabase(
      async (trial) => {
        const adding = createTrial(trial).add();
        await disk.drain();
        const one = await adding;
        const store = await trial.reopen();
        rows.set(one.tokenHash, rowOf(one, 1));
        const read = store.peek("shop", one.tokenHash, NOW);
        const ending = store.delete("shop", { tokenHash: one.tokenHash }, NOW);
        await turns(2);
        release();
        assert.equal(await read, null);
        await disk.calm();
        assert.equal(await ending, true);
        // Nor is the row taken into memory, to be found later.
        rows.clear();
        const again = store.peek("shop", one.tokenHash, NOW);
        release();
        assert.equal(await again, null);
      },
      { openPrefetch: openHeld, openWriter: disk.openWriter },
    );
  });

  test("is refused if the store closed meanwhile", () => {
    const { openHeld, release } = createHeldPrefetch();
    return withDatabase(
      async (trial) => {
        const one = await createTrial(trial).add();
        const store = await trial.reopen();
        const answer = Promise.resolve(store.peek("shop", one.tokenHash, NOW));
        const closed = store.close();
        release();
        await assert.rejects(answer, hasCode("unavailable"));
        await closed;
      },
      { openPrefetch: openHeld },
    );
  });

  test("asks nothing for an app without sessions", () => {
    const { asked, openHeld } = createHeldPrefetch();
    return withDatabase(
      async ({ store }) => {
        const { tokenHash } = createTrial({ store }).mint();
        assert.equal(await store.peek("shop", tokenHash, NOW), null);
        assert.deepEqual(asked, []);
      },
      { openPrefetch: openHeld },
    );
  });
});

describe("threads that read ahead", () => {
  /** Opens threads, and notes what they have read. */
  const count = () => {
    const done = { reads: 0 };
    const open = (options: PrefetchOptions): Prefetch => {
      const prefetch = openPrefetch(options);
      return {
        ...prefetch,
        session(asked) {
          const fetched = prefetch.session(asked);
          void fetched?.then(() => done.reads++);
          return fetched;
        },
      };
    };
    return { done, open };
  };

  test("are used once they run, and every read is answered rightly", () => {
    const { done, open } = count();
    return withDatabase(
      async (trial) => {
        const minted = await createTrial(trial).addMany(100);
        const store = await trial.reopen();
        const deadline = Date.now() + 20_000;
        while (done.reads < 1_000) {
          assert.ok(Date.now() < deadline, "no thread reads ahead");
          await Promise.all(
            minted.map(async ({ session, tokenHash }) => {
              assert.deepEqual(await store.peek("shop", tokenHash, NOW), session);
            }),
          );
          await turns(1);
        }
      },
      { ...SMALL, openPrefetch: open },
    );
  });

  test("that cannot work keep no read waiting", () =>
    withFolder((folder) =>
      withDatabase(
        async (trial) => {
          const minted = await createTrial(trial).addMany(20);
          const store = await trial.reopen();
          for (let round = 0; round < 50; round++) {
            for (const { session, tokenHash } of minted) {
              assert.deepEqual(await store.peek("shop", tokenHash, NOW), session);
            }
            await turns(20);
          }
        },
        {
          ...SMALL,
          openPrefetch: () => openPrefetch({ path: join(folder, "no-such-folder", "latchkey.db") }),
        },
      ),
    ));

  test("let go of the database when they are closed while they read", () =>
    withDatabase(
      async (trial) => {
        const minted = await createTrial(trial).addMany(200);
        const store = await trial.reopen();
        const outcomes = minted.map(({ tokenHash }) =>
          Promise.resolve(store.peek("shop", tokenHash, NOW)).then(
            (session) => session?.userId,
            (error) => error.code,
          ),
        );
        await store.close();
        for (const outcome of await Promise.all(outcomes)) {
          assert.ok(outcome === "ann" || outcome === "unavailable");
        }
      },
      { ...SMALL, openPrefetch },
    ));
});
