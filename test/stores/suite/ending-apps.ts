import assert from "node:assert/strict";
import { type Case, listAll, MINUTE, NOW } from "./fixture.js";

const never = () => false;

/** More sessions than any store ends in one slice. */
const MANY = 1_600;

/** What `deleteApp` promises. */
export function appDeletionCases(check: Case): void {
  check("ending an app's sessions ends all of them and no other app's", async (trial) => {
    const { store, add, addMany } = trial;
    const ended = await addMany(3, (index) => ({ userId: `user${index}` }));
    // One app's name begins with the other's.
    const other = await add({ app: "shop2" });
    assert.equal(await store.deleteApp("shop", NOW, never), 3);
    assert.deepEqual(await listAll(store, "shop", NOW), []);
    for (const { session, tokenHash } of ended) {
      assert.equal(await store.peek("shop", tokenHash, NOW), null);
      assert.equal(await store.touch("shop", tokenHash, NOW), null);
      assert.equal(await store.delete("shop", { id: session.id }, NOW), false);
      assert.deepEqual(await listAll(store, "shop", NOW, { userId: session.userId }), []);
    }
    assert.deepEqual(await store.peek("shop2", other.tokenHash, NOW), other.session);
    assert.equal(await store.deleteApp("shop", NOW, never), 0);
  });

  check("ending the sessions of an app without any answers 0", async ({ store, add }) => {
    await add();
    assert.equal(await store.deleteApp("news", NOW, never), 0);
    assert.equal(store.stats().sessions, 1);
  });

  check("expired sessions of the app are not counted", async ({ store, add }) => {
    await add({ idleTtl: MINUTE });
    await add({ absoluteExpiresAt: NOW + MINUTE });
    const touched = await add({ idleTtl: MINUTE });
    await store.touch("shop", touched.tokenHash, NOW + 1);
    assert.equal(await store.deleteApp("shop", NOW + MINUTE, never), 1);
  });

  check("an app of many sessions is ended whole", async ({ store, add, addMany }) => {
    const other = await add({ app: "blog" });
    await addMany(MANY, (index) => ({ userId: `user${index % 7}` }));
    assert.equal(store.stats().sessions, MANY + 1);
    assert.equal(await store.deleteApp("shop", NOW, never), MANY);
    assert.deepEqual(await listAll(store, "shop", NOW), []);
    assert.equal(store.stats().sessions, 1);
    assert.deepEqual(await store.peek("blog", other.tokenHash, NOW), other.session);
  });

  check("ending an app stops when cancelled, and answers what it did", async (trial) => {
    const { store, addMany } = trial;
    await addMany(MANY);
    let asked = 0;
    const ended = await store.deleteApp("shop", NOW, () => ++asked > 1);
    assert.ok(ended > 0 && ended < MANY, `ended ${ended}`);
    assert.equal((await listAll(store, "shop", NOW)).length, MANY - ended);
    assert.equal(store.stats().sessions, MANY - ended);

    assert.equal(await store.deleteApp("shop", NOW, never), MANY - ended);
    assert.equal(store.stats().sessions, 0);
  });

  check("others are served while a large app is ended", async ({ store, add, addMany }) => {
    const other = await add({ app: "blog" });
    await addMany(MANY);
    let finished = false;
    const ending = store.deleteApp("shop", NOW, never).then(() => {
      finished = true;
    });
    await store.update("blog", other.tokenHash, NOW, (session) => session);
    assert.equal(finished, false);
    await ending;
  });

  check("sessions created after it began are spared", async ({ store, add, addMany }) => {
    await addMany(MANY);
    const ending = store.deleteApp("shop", NOW, never);
    const spared = await add();
    assert.equal(await ending, MANY);
    assert.deepEqual(await store.peek("shop", spared.tokenHash, NOW), spared.session);
    assert.deepEqual(await listAll(store, "shop", NOW), [spared.session]);
    assert.equal(store.stats().sessions, 1);
  });

  check("sessions created between its slices are spared", async ({ store, add, addMany }) => {
    await addMany(MANY);
    const creations: ReturnType<typeof add>[] = [];
    await store.deleteApp("shop", NOW, () => {
      creations.push(add());
      return false;
    });
    const spared = await Promise.all(creations);
    assert.ok(spared.length > 1);
    const left = (await listAll(store, "shop", NOW)).map(({ id }) => id);
    // The first may have been created before the first slice ran.
    assert.deepEqual(left.toSorted().slice(-spared.length + 1), ids(spared).slice(1));
  });

  check("a session ended and begun anew between its slices is spared", async (trial) => {
    const { store, mint, addMany } = trial;
    const minted = await addMany(MANY);
    const again = mint();
    const last = minted.at(-1);
    assert.ok(last);
    const ending = store.deleteApp("shop", NOW, never);
    await store.delete("shop", { tokenHash: last.tokenHash }, NOW);
    await store.create(again.session, last.tokenHash);
    await ending;
    assert.deepEqual(await store.peek("shop", last.tokenHash, NOW), again.session);
  });

  check("touches under way do not revive an app's sessions", async ({ store, addMany }) => {
    const minted = await addMany(20);
    const touches = () => minted.map(({ tokenHash }) => store.touch("shop", tokenHash, NOW + 1));
    await Promise.all([...touches(), store.deleteApp("shop", NOW + 1, never), ...touches()]);
    assert.equal(await store.countActiveUsers("shop", 0, NOW + 1), 0);
    assert.deepEqual(await listAll(store, "shop", NOW + 1), []);
    assert.equal(store.stats().sessions, 0);
  });
}

function ids(minted: readonly { readonly session: { readonly id: string } }[]): string[] {
  return minted.map(({ session }) => session.id).toSorted();
}
