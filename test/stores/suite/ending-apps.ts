import assert from "node:assert/strict";
import { type Case, listAll, MINUTE, NOW } from "../../support/stores/fixture.js";

/** More sessions than any store ends in one batch. */
const MANY = 1_600;

/** What `deleteApp` promises. */
export function appDeletionCases(check: Case): void {
  check("ending an app's sessions ends all of them and no other app's", async (trial) => {
    const { store, add, addMany } = trial;
    const ended = await addMany(3, (index) => ({ userId: `user${index}` }));
    // One app's name begins with the other's.
    const other = await add({ app: "shop2" });
    assert.equal(await store.deleteApp("shop", NOW), 3);
    assert.deepEqual(await listAll(store, "shop", NOW), []);
    for (const { session, tokenHash } of ended) {
      assert.equal(await store.peek("shop", tokenHash, NOW), null);
      assert.equal(await store.touch("shop", tokenHash, NOW), null);
      assert.equal(await store.delete("shop", { id: session.id }, NOW), false);
      assert.deepEqual(await listAll(store, "shop", NOW, { userId: session.userId }), []);
    }
    assert.deepEqual(await store.peek("shop2", other.tokenHash, NOW), other.session);
    assert.equal(await store.deleteApp("shop", NOW), 0);
  });

  check("ending the sessions of an app without any answers 0", async ({ store, add }) => {
    await add();
    assert.equal(await store.deleteApp("news", NOW), 0);
    assert.equal(store.stats().sessions, 1);
  });

  check("expired sessions of the app are not counted", async ({ store, add }) => {
    await add({ idleTtl: MINUTE });
    await add({ absoluteExpiresAt: NOW + MINUTE });
    const touched = await add({ idleTtl: MINUTE });
    await store.touch("shop", touched.tokenHash, NOW + 1);
    assert.equal(await store.deleteApp("shop", NOW + MINUTE), 1);
  });

  check("an app of many sessions is ended whole", async ({ store, add, addMany }) => {
    const other = await add({ app: "blog" });
    await addMany(MANY, (index) => ({ userId: `user${index % 7}` }));
    assert.equal(store.stats().sessions, MANY + 1);
    assert.equal(await store.deleteApp("shop", NOW), MANY);
    assert.deepEqual(await listAll(store, "shop", NOW), []);
    assert.equal(store.stats().sessions, 1);
    assert.deepEqual(await store.peek("blog", other.tokenHash, NOW), other.session);
  });

  check("the sessions of a large app end together", async ({ store, add, addMany }) => {
    const minted = await addMany(MANY);
    let finished = false;
    const ending = store.deleteApp("shop", NOW).then(() => {
      finished = true;
    });
    // A write that follows is answered when the end is durable, long before the last is reclaimed.
    await add({ app: "blog" });
    assert.equal(finished, false);
    const left = await Promise.all(
      minted.map(({ tokenHash }) => store.peek("shop", tokenHash, NOW)),
    );
    assert.deepEqual(left.filter(Boolean), []);
    assert.deepEqual(await listAll(store, "shop", NOW), []);
    assert.equal(await store.countActiveUsers("shop", 0, NOW), 0);
    await ending;
    assert.equal(store.stats().sessions, 1);
  });

  check("others are served while a large app is ended", async ({ store, add, addMany }) => {
    const other = await add({ app: "blog" });
    await addMany(MANY);
    let finished = false;
    const ending = store.deleteApp("shop", NOW).then(() => {
      finished = true;
    });
    await store.update("blog", other.tokenHash, NOW, (session) => session);
    assert.equal(finished, false);
    await ending;
  });

  check("sessions created after it began are spared", async ({ store, add, addMany }) => {
    await addMany(MANY);
    const ending = store.deleteApp("shop", NOW);
    const spared = await add();
    assert.equal(await ending, MANY);
    assert.deepEqual(await store.peek("shop", spared.tokenHash, NOW), spared.session);
    assert.deepEqual(await listAll(store, "shop", NOW), [spared.session]);
    assert.equal(store.stats().sessions, 1);
  });

  check("ends of an app that overlap count each session once", async (trial) => {
    const { store, add, addMany } = trial;
    await addMany(MANY);
    const first = store.deleteApp("shop", NOW);
    await add();
    const second = store.deleteApp("shop", NOW);
    const spared = await add();
    assert.equal(await store.deleteUser("shop", "bob", NOW), 0);
    assert.deepEqual(await Promise.all([first, second]), [MANY, 1]);
    assert.deepEqual(await listAll(store, "shop", NOW), [spared.session]);
    assert.equal(store.stats().sessions, 1);
  });

  check("touches under way do not revive an app's sessions", async ({ store, addMany }) => {
    const minted = await addMany(20);
    const touches = () => minted.map(({ tokenHash }) => store.touch("shop", tokenHash, NOW + 1));
    await Promise.all([...touches(), store.deleteApp("shop", NOW + 1), ...touches()]);
    assert.equal(await store.countActiveUsers("shop", 0, NOW + 1), 0);
    assert.deepEqual(await listAll(store, "shop", NOW + 1), []);
    assert.equal(store.stats().sessions, 0);
  });
}
