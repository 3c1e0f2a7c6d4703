import assert from "node:assert/strict";
import { type Case, MINUTE, NOW, SECOND } from "../../support/stores/fixture.js";

/** What `countActiveUsers` promises. */
export function countingCases(check: Case): void {
  check("active users are counted, not their sessions", async ({ store, addMany }) => {
    await addMany(6, (index) => ({ userId: ["ann", "bob", "ann"][index % 3] ?? "" }));
    assert.equal(await store.countActiveUsers("shop", NOW, NOW), 2);
  });

  check("active users are counted in this app only", async ({ store, add }) => {
    await add();
    await add({ app: "blog", userId: "bob" });
    await add({ app: "blog", userId: "cho" });
    assert.equal(await store.countActiveUsers("shop", NOW, NOW), 1);
    assert.equal(await store.countActiveUsers("blog", NOW, NOW), 2);
    assert.equal(await store.countActiveUsers("news", NOW, NOW), 0);
  });

  check("users accessed at that instant or after are counted", async ({ store, addMany }) => {
    await addMany(3, (index) => ({ userId: `user${index}`, lastAccessedAt: NOW + index }));
    const counts = [0, 1, 2, 3].map((after) => store.countActiveUsers("shop", NOW + after, NOW));
    assert.deepEqual(await Promise.all(counts), [3, 2, 1, 0]);
  });

  check("a user leaves the count with the last of the sessions", async ({ store, addMany }) => {
    const [first, second] = await addMany(2);
    assert.ok(first && second);
    await store.delete("shop", { tokenHash: first.tokenHash }, NOW);
    assert.equal(await store.countActiveUsers("shop", NOW, NOW), 1);
    await store.delete("shop", { id: second.session.id }, NOW);
    assert.equal(await store.countActiveUsers("shop", NOW, NOW), 0);
  });

  check("a user whose sessions were ended together leaves the count", async (trial) => {
    const { store, add, addMany } = trial;
    await addMany(3);
    await add({ userId: "bob" });
    await store.deleteUser("shop", "ann", NOW);
    assert.equal(await store.countActiveUsers("shop", NOW, NOW), 1);
  });

  check("users of dead sessions are not counted, swept or not", async ({ store, add }) => {
    await add({ idleTtl: MINUTE });
    await add({ userId: "bob", absoluteExpiresAt: NOW + MINUTE });
    await add({ userId: "cho" });
    assert.equal(await store.countActiveUsers("shop", 0, NOW + MINUTE - 1), 3);
    assert.equal(await store.countActiveUsers("shop", 0, NOW + MINUTE), 1);
  });

  check("a count sees the touch just before it", async ({ store, add }) => {
    const { tokenHash } = await add({ idleTtl: MINUTE });
    assert.equal(await store.countActiveUsers("shop", NOW + SECOND, NOW + SECOND), 0);
    await store.touch("shop", tokenHash, NOW + SECOND);
    assert.equal(await store.countActiveUsers("shop", NOW + SECOND, NOW + SECOND), 1);
    // The touch keeps the session alive, too.
    assert.equal(await store.countActiveUsers("shop", NOW, NOW + MINUTE), 1);
  });

  check("a count sees the touches of many sessions", async ({ store, addMany }) => {
    const minted = await addMany(1_200, (index) => ({ userId: `user${index}` }));
    for (const { tokenHash } of minted) await store.touch("shop", tokenHash, NOW + SECOND);
    assert.equal(await store.countActiveUsers("shop", NOW + SECOND, NOW + SECOND), 1_200);
  });
}
