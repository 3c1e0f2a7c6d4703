import assert from "node:assert/strict";
import { type Case, listAll, MINUTE, NOW, SECOND, sweepAll } from "../../support/stores/fixture.js";

const total = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0);

/** What `sweep` and `stats` promise. */
export function sweepCases(check: Case): void {
  check(
    "expired sessions are held until a sweep removes them",
    async ({ store, seen, addMany }) => {
      await addMany(3, () => ({ idleTtl: MINUTE }));
      assert.equal(store.stats().sessions, 3);
      await listAll(store, "shop", NOW + MINUTE);
      assert.equal(store.stats().sessions, 3);
      await sweepAll(store, NOW + MINUTE);
      assert.equal(store.stats().sessions, 0);
      assert.equal(total(seen.sweeps), 3);
    },
  );

  check("a sweep removes from the deadline on, not before", async ({ store, seen, add }) => {
    await add({ idleTtl: MINUTE });
    await add({ absoluteExpiresAt: NOW + MINUTE });
    await sweepAll(store, NOW + MINUTE - 1);
    assert.equal(store.stats().sessions, 2);
    assert.deepEqual(seen.sweeps, []);
    await sweepAll(store, NOW + MINUTE);
    assert.equal(store.stats().sessions, 0);
  });

  check("a sweep leaves live sessions as they are", async ({ store, add, addMany }) => {
    await addMany(5, () => ({ idleTtl: MINUTE }));
    const { session, tokenHash } = await add();
    await sweepAll(store, NOW + MINUTE);
    assert.equal(store.stats().sessions, 1);
    assert.deepEqual(await store.peek("shop", tokenHash, NOW + MINUTE), session);
    assert.deepEqual(await listAll(store, "shop", NOW + MINUTE), [session]);
    assert.equal(await store.delete("shop", { id: session.id }, NOW + MINUTE), true);
  });

  check("a sweep removes at most its limit and says that there is more", async (trial) => {
    const { store, seen, addMany } = trial;
    await addMany(25, () => ({ idleTtl: MINUTE }));
    let held = 25;
    let more = true;
    for (let sweeps = 0; more; sweeps++) {
      assert.ok(sweeps < 10);
      more = await store.sweep(NOW + MINUTE, 10);
      assert.ok(held - store.stats().sessions <= 10);
      held = store.stats().sessions;
      assert.equal(total(seen.sweeps), 25 - held);
      if (held > 0) assert.equal(more, true);
    }
    assert.equal(held, 0);
    assert.ok(seen.sweeps.every((swept) => swept > 0));
  });

  check(
    "a sweep with nothing to remove ends and tells of none",
    async ({ store, seen, addMany }) => {
      await sweepAll(store, NOW);
      await addMany(25);
      await sweepAll(store, NOW, 10);
      assert.deepEqual(seen.sweeps, []);
      assert.equal(store.stats().sessions, 25);
    },
  );

  check("a sweep that says there is no more leaves none, wherever one began", async (trial) => {
    const { store, addMany } = trial;
    await addMany(20, () => ({ idleTtl: MINUTE }));
    await store.sweep(NOW, 10);
    await sweepAll(store, NOW + MINUTE, 10);
    assert.equal(store.stats().sessions, 0);
  });

  check("a sweep never removes a session that a touch keeps alive", async ({ store, add }) => {
    const { session, tokenHash } = await add({ idleTtl: MINUTE });
    await store.touch("shop", tokenHash, NOW + MINUTE - 1);
    await sweepAll(store, NOW + MINUTE);
    await sweepAll(store, NOW + 2 * MINUTE - 2);
    assert.deepEqual(await store.peek("shop", tokenHash, NOW + 2 * MINUTE - 2), {
      ...session,
      reads: 2,
      lastAccessedAt: NOW + MINUTE - 1,
    });
    await sweepAll(store, NOW + 2 * MINUTE - 1);
    assert.equal(store.stats().sessions, 0);
  });

  check("a touch in the turn of a sweep keeps its session alive", async ({ store, add }) => {
    const { tokenHash } = await add({ idleTtl: MINUTE });
    const at = NOW + MINUTE - 1;
    await Promise.all([store.touch("shop", tokenHash, at), store.sweep(NOW + MINUTE, 10)]);
    assert.notEqual(await store.peek("shop", tokenHash, NOW + MINUTE), null);
    assert.equal(store.stats().sessions, 1);
  });

  check("a sweep follows limits that an update shortens or lengthens", async ({ store, add }) => {
    const shortened = await add();
    const lengthened = await add({ idleTtl: SECOND });
    const capped = await add();
    await store.update("shop", shortened.tokenHash, NOW, (s) => ({ ...s, idleTtl: SECOND }));
    await store.update("shop", lengthened.tokenHash, NOW, (s) => ({ ...s, idleTtl: MINUTE }));
    await store.update("shop", capped.tokenHash, NOW, (s) => ({
      ...s,
      absoluteExpiresAt: NOW + SECOND,
    }));
    await sweepAll(store, NOW + SECOND);
    assert.equal(store.stats().sessions, 1);
    assert.notEqual(await store.peek("shop", lengthened.tokenHash, NOW + SECOND), null);
    await sweepAll(store, NOW + MINUTE);
    assert.equal(store.stats().sessions, 0);
  });

  check("what a sweep removed is free to be created again", async ({ store, add }) => {
    const { session, tokenHash } = await add({ idleTtl: MINUTE });
    await sweepAll(store, NOW + MINUTE);
    await store.create({ ...session, lastAccessedAt: NOW + MINUTE }, tokenHash);
    assert.notEqual(await store.peek("shop", tokenHash, NOW + MINUTE), null);
    assert.equal(store.stats().sessions, 1);
  });

  check("sessions of all apps are swept and held alike", async ({ store, add }) => {
    await add({ app: "blog", idleTtl: MINUTE });
    await add({ app: "shop", idleTtl: MINUTE });
    await add({ app: "news" });
    await sweepAll(store, NOW + MINUTE, 1);
    assert.equal(store.stats().sessions, 1);
  });

  check("the write-ahead log has a size, 0 where there is none", async ({ store, add }) => {
    await add();
    assert.ok(Number.isInteger(store.stats().walBytes) && store.stats().walBytes >= 0);
  });
}
