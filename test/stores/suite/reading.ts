import assert from "node:assert/strict";
import { type Case, listAll, MINUTE, NOW, SECOND } from "../../support/stores/fixture.js";

/** What `peek` and `touch` promise. */
export function readingCases(check: Case): void {
  check("a peek changes nothing", async ({ store, add }) => {
    const { session, tokenHash } = await add();
    for (const later of [0, 1, MINUTE]) {
      assert.deepEqual(await store.peek("shop", tokenHash, NOW + later), session);
    }
    assert.deepEqual(await listAll(store, "shop", NOW), [session]);
  });

  check("peeks do not lengthen the idle time", async ({ store, add }) => {
    const { tokenHash } = await add({ idleTtl: MINUTE });
    await store.peek("shop", tokenHash, NOW + MINUTE - 1);
    assert.equal(await store.peek("shop", tokenHash, NOW + MINUTE), null);
  });

  check("a touch counts one read and answers before and after", async ({ store, add }) => {
    const { session, tokenHash } = await add();
    const once = { ...session, reads: 2, lastAccessedAt: NOW + SECOND };
    assert.deepEqual(await store.touch("shop", tokenHash, NOW + SECOND), {
      before: session,
      after: once,
    });
    assert.deepEqual(await store.touch("shop", tokenHash, NOW + MINUTE), {
      before: once,
      after: { ...session, reads: 3, lastAccessedAt: NOW + MINUTE },
    });
  });

  check("a touch is visible at once, in reads and in lists", async ({ store, add }) => {
    const { session, tokenHash } = await add();
    await store.touch("shop", tokenHash, NOW + SECOND);
    const touched = { ...session, reads: 2, lastAccessedAt: NOW + SECOND };
    assert.deepEqual(await store.peek("shop", tokenHash, NOW + SECOND), touched);
    assert.deepEqual(await listAll(store, "shop", NOW + SECOND), [touched]);
    assert.deepEqual(await listAll(store, "shop", NOW + SECOND, { userId: "ann" }), [touched]);
  });

  check("touches in one turn are all counted", async ({ store, add }) => {
    const { tokenHash } = await add();
    await Promise.all(Array.from({ length: 100 }, () => store.touch("shop", tokenHash, NOW)));
    assert.equal((await store.peek("shop", tokenHash, NOW))?.reads, 101);
  });

  check("a touch restarts the idle time", async ({ store, add }) => {
    const { tokenHash } = await add({ idleTtl: MINUTE });
    await store.touch("shop", tokenHash, NOW + MINUTE - 1);
    assert.notEqual(await store.peek("shop", tokenHash, NOW + 2 * MINUTE - 2), null);
    assert.equal(await store.peek("shop", tokenHash, NOW + 2 * MINUTE - 1), null);
  });

  check("a touch does not move the absolute deadline", async ({ store, add }) => {
    const { tokenHash } = await add({ absoluteExpiresAt: NOW + 10 * SECOND });
    await store.touch("shop", tokenHash, NOW + 9 * SECOND);
    assert.equal(await store.peek("shop", tokenHash, NOW + 10 * SECOND), null);
  });

  check("a touch by a clock set back moves no deadline back", async ({ store, add }) => {
    const { session, tokenHash } = await add({ idleTtl: MINUTE });
    await store.touch("shop", tokenHash, NOW + 30 * SECOND);
    const change = await store.touch("shop", tokenHash, NOW - MINUTE);
    assert.deepEqual(change?.after, {
      ...session,
      reads: 3,
      lastAccessedAt: NOW + 30 * SECOND,
    });
    assert.notEqual(await store.peek("shop", tokenHash, NOW + 90 * SECOND - 1), null);
  });

  check("a touch after expiry finds nothing and revives nothing", async ({ store, add }) => {
    const { tokenHash } = await add({ idleTtl: MINUTE });
    assert.equal(await store.touch("shop", tokenHash, NOW + MINUTE), null);
    assert.equal(await store.peek("shop", tokenHash, NOW + MINUTE), null);
    assert.equal(await store.touch("shop", tokenHash, NOW + MINUTE + 1), null);
  });

  const deadlines = {
    idle: { idleTtl: MINUTE, absoluteExpiresAt: NOW + 2 * MINUTE },
    absolute: { idleTtl: 2 * MINUTE, absoluteExpiresAt: NOW + MINUTE },
  };
  for (const [name, lifetime] of Object.entries(deadlines)) {
    check(`a session lives 1 ms before its ${name} deadline`, async ({ store, add }) => {
      const { session, tokenHash } = await add(lifetime);
      const at = NOW + MINUTE - 1;
      assert.deepEqual(await store.peek("shop", tokenHash, at), session);
      assert.deepEqual(await listAll(store, "shop", at), [session]);
      assert.deepEqual(await listAll(store, "shop", at, { userId: "ann" }), [session]);
      assert.equal(await store.countActiveUsers("shop", 0, at), 1);
      const updated = await store.update("shop", tokenHash, at, (same) => same);
      assert.deepEqual(updated, { before: session, after: session });
      assert.deepEqual((await store.touch("shop", tokenHash, at))?.before, session);
      assert.equal(await store.delete("shop", { tokenHash }, at), true);
    });

    check(`a session is absent from its ${name} deadline on`, async ({ store, add }) => {
      const { session, tokenHash } = await add(lifetime);
      const at = NOW + MINUTE;
      assert.equal(await store.peek("shop", tokenHash, at), null);
      assert.equal(await store.touch("shop", tokenHash, at), null);
      assert.equal(await store.update("shop", tokenHash, at, (same) => same), null);
      assert.deepEqual(await listAll(store, "shop", at), []);
      assert.deepEqual(await listAll(store, "shop", at, { userId: "ann" }), []);
      assert.equal(await store.countActiveUsers("shop", 0, at), 0);
      assert.equal(await store.delete("shop", { tokenHash }, at), false);
      assert.equal(await store.delete("shop", { id: session.id }, at), false);
      assert.equal(await store.deleteUser("shop", "ann", at), 0);
    });
  }

  // `blog` has sessions of its own; `news` never had one.
  for (const other of ["blog", "news"]) {
    check(`a token finds nothing in another app (${other})`, async ({ store, add }) => {
      await add({ app: "blog", userId: "bob" });
      const { session, tokenHash } = await add();
      assert.equal(await store.peek(other, tokenHash, NOW), null);
      assert.equal(await store.touch(other, tokenHash, NOW), null);
      assert.equal(await store.update(other, tokenHash, NOW, (same) => same), null);
      assert.equal(await store.delete(other, { tokenHash }, NOW), false);
      assert.equal(await store.delete(other, { id: session.id }, NOW), false);
      assert.equal(await store.deleteUser(other, "ann", NOW), 0);
      assert.equal(await store.deleteUser(other, "ann", NOW, { tokenHash }), null);
      assert.equal(await store.countActiveUsers(other, 0, NOW), other === "blog" ? 1 : 0);
      assert.deepEqual(await listAll(store, other, NOW, { userId: "ann" }), []);
      assert.deepEqual(await store.peek("shop", tokenHash, NOW), session);
    });
  }

  check("a token that was never given out finds nothing", async ({ store, add, mint }) => {
    await add();
    const { tokenHash } = mint();
    assert.equal(await store.peek("shop", tokenHash, NOW), null);
    assert.equal(await store.touch("shop", tokenHash, NOW), null);
    assert.equal(await store.update("shop", tokenHash, NOW, (same) => same), null);
    assert.equal(await store.delete("shop", { tokenHash }, NOW), false);
  });
}
