import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { hashToken, type TokenHash } from "../../../src/domain/token.js";
import { openConnection } from "../../../src/stores/sqlite/file/connection.js";
import { openPrefetch, type PrefetchOptions } from "../../../src/stores/sqlite/prefetch/client.js";
import { fillTokenFilter } from "../../../src/stores/sqlite/prefetch/filter-fill.js";
import {
  createTokenFilter,
  filterMemoryFor,
} from "../../../src/stores/sqlite/prefetch/token-filter.js";
import { eventually } from "../../support/eventually.js";
import { withDatabase } from "../../support/stores/database.js";
import { createTrial, NOW, SECOND } from "../../support/stores/fixture.js";

const stranger = (n: number): TokenHash => hashToken(`${"stranger".repeat(8)}${n}`);

test("a filter knows every token that it was given, and few others, where it is full", () => {
  const filter = createTokenFilter(filterMemoryFor(0));
  const first = randomBytes(32);
  assert.ok(filter.mayHave(first.toString("base64url") as TokenHash));
  filter.addBytes(first);
  const kept = [first];
  for (let n = 1; n < 1_000_000; n++) {
    const hash = randomBytes(32);
    filter.addBytes(hash);
    if (n % 1_000 === 0) kept.push(hash);
  }
  filter.complete();
  for (const hash of kept) assert.ok(filter.mayHave(hash.toString("base64url") as TokenHash));
  let passed = 0;
  for (let n = 0; n < 10_000; n++) if (filter.mayHave(stranger(n))) passed++;
  assert.ok(passed < 200, `${passed} of 10,000 strangers passed`);
});

test("room grows with the sessions of the file, in bounds", () => {
  const size = (sessions: number) => filterMemoryFor(sessions).byteLength;
  assert.equal(size(0), 4 + 2 ** 21);
  assert.equal(size(10_000_000), 4 + 2 ** 25);
  assert.equal(size(1e12), 4 + 2 ** 28);
});

/** A prefetch that counts what it is asked for, and fills a filter when it is told. */
function createCountedPrefetch() {
  const asked: TokenHash[] = [];
  let fill = () => {};
  return {
    asked,
    fill: () => fill(),
    open: ({ path }: PrefetchOptions) => ({
      session({ tokenHash }: { tokenHash: TokenHash }) {
        asked.push(tokenHash);
        return undefined;
      },
      fill(memory: SharedArrayBuffer) {
        fill = () => {
          const db = openConnection(path);
          for (const _ of fillTokenFilter(db, createTokenFilter(memory)));
          db.close();
        };
      },
      close: async () => {},
    }),
  };
}

test("once the filter knows the file, unknown tokens are answered without a look at it", () => {
  const { asked, fill, open } = createCountedPrefetch();
  return withDatabase(
    async (trial) => {
      const { add } = createTrial(trial);
      const [one, rotated] = [await add(), await add()];
      const rotate = (from: TokenHash, to: TokenHash, now: number) =>
        trial.store.rotate("shop", from, now, {
          ...{ to, graceEndsAt: now + SECOND, isReceived: false, salt: "" },
          change: (session) => session,
        });
      const second = stranger(-1);
      await rotate(rotated.tokenHash, second, NOW);
      const store = await trial.reopen();
      assert.equal(await store.peek("shop", stranger(1), NOW), null);
      assert.equal(asked.length, 1);

      fill();
      asked.length = 0;
      for (let n = 2; n < 50; n++) {
        assert.equal(await store.peek("shop", stranger(n), NOW), null);
        assert.equal(await store.touch("shop", stranger(n), NOW), null);
        assert.equal(await store.delete("shop", { tokenHash: stranger(n) }, NOW), false);
      }
      assert.deepEqual(asked, []);

      const found = async (tokenHash: TokenHash) =>
        (await store.peek("shop", tokenHash, NOW))?.id ?? null;
      assert.equal(await found(one.tokenHash), one.session.id);
      assert.equal(await found(rotated.tokenHash), rotated.session.id);
      assert.equal(await found(second), rotated.session.id);
    },
    { openPrefetch: open, cacheBytes: 2_500 },
  );
});

test("tokens that are made after the filter was filled are found, whatever is in memory", () => {
  const { fill, open } = createCountedPrefetch();
  return withDatabase(
    async (trial) => {
      fill();
      const { store, add } = createTrial(trial);
      const made = [];
      for (let n = 0; n < 40; n++) made.push(await add({ userId: `user ${n}` }));
      const [first] = made;
      assert.ok(first);
      const to = stranger(-2);
      await store.rotate("shop", first.tokenHash, NOW, {
        ...{ to, graceEndsAt: NOW + SECOND, isReceived: false, salt: "" },
        change: (session) => session,
      });
      for (const { tokenHash, session } of made) {
        assert.equal((await store.peek("shop", tokenHash, NOW))?.id, session.id);
      }
      assert.equal((await store.peek("shop", to, NOW))?.id, first.session.id);
      // Its first token is an old one now: that somebody uses it late is a theft.
      const late = store.peek("shop", first.tokenHash, NOW + 2 * SECOND);
      await assert.rejects(async () => late, { code: "not_found" });
    },
    { openPrefetch: open, cacheBytes: 2_500 },
  );
});

test("a thread fills the filter of a file", () =>
  withDatabase(async (trial) => {
    const { add } = createTrial(trial);
    const { tokenHash } = await add();
    const prefetch = openPrefetch({ path: trial.path });
    const filter = createTokenFilter(filterMemoryFor(0));
    prefetch.fill(filter.memory);
    prefetch.session({ app: "shop", appId: 1, tokenHash });
    await eventually("a filter that knows the file", () => !filter.mayHave(stranger(1)));
    assert.ok(filter.mayHave(tokenHash));
    await prefetch.close();
  }, {}));
