import assert from "node:assert/strict";
import {
  type Case,
  listAll,
  listPages,
  MINUTE,
  type Minted,
  NOW,
  SECOND,
} from "../../support/stores/fixture.js";

const newestFirst = (minted: readonly Minted[]) =>
  minted.map(({ session }) => session).toReversed();

/** What `list` promises while nothing else happens. */
export function listingCases(check: Case): void {
  check("a listing shows the newest created first", async ({ store, add }) => {
    const minted = [await add(), await add({ userId: "bob" }), await add()];
    const [oldest, bobs, newest] = newestFirst(minted).toReversed();
    assert.deepEqual(await listAll(store, "shop", NOW), [newest, bobs, oldest]);
    assert.deepEqual(await listAll(store, "shop", NOW, { userId: "ann" }), [newest, oldest]);
    assert.deepEqual(await listAll(store, "shop", NOW, { userId: "bob" }), [bobs]);
  });

  check("neither touches, updates nor a clock set back change the order", async (trial) => {
    const { store, add } = trial;
    const first = await add();
    const second = await add({ createdAt: NOW - MINUTE });
    await store.touch("shop", first.tokenHash, NOW + SECOND);
    await store.update("shop", first.tokenHash, NOW + SECOND, (session) => session);
    const listed = await listAll(store, "shop", NOW + SECOND);
    assert.deepEqual(
      listed.map(({ id }) => id),
      [second.session.id, first.session.id],
    );
  });

  check("a listing shows sessions of its app only", async ({ store, add }) => {
    const { session } = await add();
    await add({ app: "blog" });
    await add({ app: "shop2" });
    assert.deepEqual(await listAll(store, "shop", NOW), [session]);
    assert.deepEqual(await listAll(store, "news", NOW), []);
  });

  check("a listing leaves out the expired and the ended", async ({ store, add }) => {
    await add({ idleTtl: MINUTE });
    const ended = await add();
    const { session } = await add();
    await store.delete("shop", { tokenHash: ended.tokenHash }, NOW);
    assert.deepEqual(await listAll(store, "shop", NOW + MINUTE), [session]);
  });

  check("activeSince keeps those accessed at that instant or after", async ({ store, add }) => {
    const before = await add({ lastAccessedAt: NOW - 1 });
    const at = await add({ lastAccessedAt: NOW });
    const after = await add({ lastAccessedAt: NOW + 1, userId: "bob" });
    const since = { activeSince: NOW };
    assert.deepEqual(await listAll(store, "shop", NOW, since), [after.session, at.session]);
    assert.deepEqual(await listAll(store, "shop", NOW, { ...since, userId: "ann" }), [at.session]);

    const change = await store.touch("shop", before.tokenHash, NOW);
    assert.deepEqual((await listAll(store, "shop", NOW, since)).at(-1), change?.after);
  });

  check(
    "sessions are found by their ids, in the order asked, without those that are gone",
    async (trial) => {
      const { store, add } = trial;
      const [first, second, ended, expired, other] = [
        await add(),
        await add({ userId: "bob" }),
        await add(),
        await add({ idleTtl: MINUTE }),
        await add({ app: "blog" }),
      ];
      await store.delete("shop", { tokenHash: ended.tokenHash }, NOW);
      const touch = await store.touch("shop", first.tokenHash, NOW + SECOND);
      const asked = [second, other, expired, ended, first, second].map(({ session }) => session.id);
      const found = await store.withIds("shop", asked, NOW + MINUTE);
      assert.deepEqual(found, [second.session, touch?.after, second.session]);
      assert.deepEqual(await store.withIds("shop", [], NOW), []);
      assert.deepEqual(await store.withIds("nowhere", asked, NOW), []);
      await store.deleteApp("shop", NOW);
      assert.deepEqual(await store.withIds("shop", asked, NOW), []);
    },
  );

  check("a listing does not count as an access", async ({ store, add }) => {
    const { session, tokenHash } = await add();
    await listAll(store, "shop", NOW + SECOND);
    assert.deepEqual(await store.peek("shop", tokenHash, NOW + SECOND), session);
  });

  for (const limit of [1, 2, 3, 7, 8]) {
    check(`pages of ${limit} make up the listing of 7`, async ({ store, addMany }) => {
      const minted = await addMany(7);
      const pages = await listPages(store, "shop", NOW, { limit });
      assert.deepEqual(
        pages.flatMap(({ sessions }) => sessions),
        newestFirst(minted),
      );
      assert.deepEqual(
        pages.map(({ sessions }) => sessions.length),
        Array.from({ length: Math.ceil(7 / limit) }, (_, n) => Math.min(limit, 7 - n * limit)),
      );
    });
  }

  check("a page that shows the last session says that there is no next", async (trial) => {
    const { store, add } = trial;
    const empty = await store.list("shop", NOW, { limit: 1, maxBytes: 1 });
    assert.deepEqual(empty, { sessions: [], bytes: 0, next: null });
    const { session } = await add();
    const full = await store.list("shop", NOW, { limit: 1, maxBytes: 1 });
    const bytes = Buffer.byteLength(JSON.stringify(session.data));
    assert.deepEqual(full, { sessions: [session], bytes, next: null });
  });

  const datas = { ASCII: "x", Korean: "한", emoji: "🔑" };
  for (const [name, letter] of Object.entries(datas)) {
    check(`a page ends when its data passes maxBytes (${name})`, async ({ store, addMany }) => {
      const data = { text: letter.repeat(50) };
      const bytes = Buffer.byteLength(JSON.stringify(data));
      await addMany(7, () => ({ data }));
      const sizes = async (maxBytes: number) =>
        (await listPages(store, "shop", NOW, { maxBytes })).map(({ sessions }) => sessions.length);
      // A page ends with the session that takes it past the bound, not at it.
      assert.deepEqual(await sizes(bytes), [2, 2, 2, 1]);
      assert.deepEqual(await sizes(3 * bytes - 1), [3, 3, 1]);
      assert.deepEqual(await sizes(3 * bytes), [4, 3]);
    });
  }

  check("a page holds a session however large its data", async ({ store, addMany }) => {
    const minted = await addMany(3, (index) => ({ data: { text: "x".repeat(index * 20_000) } }));
    const pages = await listPages(store, "shop", NOW, { maxBytes: 1 });
    assert.deepEqual(
      pages.map(({ sessions }) => sessions),
      newestFirst(minted).map((session) => [session]),
    );
  });

  check("a listing of many sessions is complete", async ({ store, addMany }) => {
    const minted = await addMany(1_300, (index) => ({
      userId: `user${index % 3}`,
      // Every other third expires, so that whole stretches show nothing.
      idleTtl: Math.floor(index / 100) % 3 === 0 ? MINUTE : 10 * MINUTE,
    }));
    const live = newestFirst(minted).filter(({ idleTtl }) => idleTtl > MINUTE);
    const at = NOW + MINUTE;
    assert.deepEqual(await listAll(store, "shop", at), live);
    assert.deepEqual(await listAll(store, "shop", at, { limit: 60 }), live);
    assert.deepEqual(
      await listAll(store, "shop", at, { userId: "user1", limit: 60 }),
      live.filter(({ userId }) => userId === "user1"),
    );
  });

  check("a listing of many expired sessions finds those behind them", async (trial) => {
    const { store, add, addMany } = trial;
    const { session } = await add();
    await addMany(1_100, () => ({ idleTtl: MINUTE }));
    assert.deepEqual(await listAll(store, "shop", NOW + MINUTE), [session]);
    assert.deepEqual(await listAll(store, "shop", NOW + MINUTE, { userId: "ann" }), [session]);
  });
}
