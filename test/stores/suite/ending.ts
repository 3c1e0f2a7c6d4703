import assert from "node:assert/strict";
import { idempotencyKeyOf } from "../../../src/domain/sessions/idempotency-key.js";
import type { SessionKey } from "../../../src/domain/sessions/session-store.js";
import {
  type Case,
  listAll,
  MINUTE,
  type Minted,
  NOW,
  setKey,
  type Trial,
} from "../../support/stores/fixture.js";

/** The two ways to name a session. */
const NAMINGS: Record<string, (minted: Minted) => SessionKey> = {
  token: ({ tokenHash }) => ({ tokenHash }),
  id: ({ session }) => ({ id: session.id }),
};

/** Asserts that no method finds the session. */
async function assertGone({ store }: Trial, { session, tokenHash }: Minted): Promise<void> {
  const { app, userId } = session;
  assert.equal(await store.peek(app, tokenHash, NOW), null);
  assert.equal(await store.touch(app, tokenHash, NOW), null);
  assert.equal(await store.update(app, tokenHash, NOW, setKey("a", 1)), null);
  assert.equal(await store.delete(app, { tokenHash }, NOW), false);
  assert.equal(await store.delete(app, { id: session.id }, NOW), false);
  for (const query of [{}, { userId }]) {
    const listed = await listAll(store, app, NOW, query);
    assert.ok(!listed.some(({ id }) => id === session.id));
  }
}

/** What `delete` promises. */
export function deletionCases(check: Case): void {
  for (const [name, keyOf] of Object.entries(NAMINGS)) {
    check(`a session deleted by ${name} is gone, and no other`, async (trial) => {
      const { store, add } = trial;
      const [neighbour, ended] = [await add(), await add()];
      assert.equal(await store.delete("shop", keyOf(ended), NOW), true);
      await assertGone(trial, ended);
      assert.deepEqual(await store.peek("shop", neighbour.tokenHash, NOW), neighbour.session);
      assert.equal(store.stats().sessions, 1);
    });

    check(`a session deleted twice by ${name} is deleted once`, async ({ store, add }) => {
      const minted = await add();
      const answers = await Promise.all([
        store.delete("shop", keyOf(minted), NOW),
        store.delete("shop", keyOf(minted), NOW),
      ]);
      assert.deepEqual(answers.toSorted(), [false, true]);
      assert.equal(await store.delete("shop", keyOf(minted), NOW), false);
      assert.equal(store.stats().sessions, 0);
    });

    check(`deleting an expired session by ${name} finds none`, async ({ store, add }) => {
      const minted = await add({ idleTtl: MINUTE });
      assert.equal(await store.delete("shop", keyOf(minted), NOW + MINUTE), false);
    });

    // Operations on one session that are under way together must not revive it.
    check(`a session deleted by ${name} stays so whatever was under way`, async (trial) => {
      const { store, add } = trial;
      const minted = await add();
      const { tokenHash } = minted;
      const touch = () => store.touch("shop", tokenHash, NOW + 1);
      const update = () => store.update("shop", tokenHash, NOW + 1, setKey("a", 1));
      const remove = () => store.delete("shop", keyOf(minted), NOW + 1);
      const [, , deleted] = await Promise.all([touch(), update(), remove(), touch(), update()]);
      assert.equal(deleted, true);
      await assertGone(trial, minted);
      assert.equal(store.stats().sessions, 0);
      assert.equal(await store.countActiveUsers("shop", 0, NOW + 1), 0);
    });
  }

  check("a session that was never created is not deleted", async ({ store, add, mint }) => {
    await add();
    const { session, tokenHash } = mint();
    assert.equal(await store.delete("shop", { tokenHash }, NOW), false);
    assert.equal(await store.delete("shop", { id: session.id }, NOW), false);
    assert.equal(store.stats().sessions, 1);
  });
}

/** What `deleteUser` promises. */
export function userDeletionCases(check: Case): void {
  check("ending a user's sessions ends all of them in this app only", async (trial) => {
    const { store, add, addMany } = trial;
    const ended = await addMany(3);
    const others = [await add({ userId: "bob" }), await add({ app: "blog" })];
    assert.equal(await store.deleteUser("shop", "ann", NOW), 3);
    for (const minted of ended) await assertGone(trial, minted);
    for (const { session, tokenHash } of others) {
      assert.deepEqual(await store.peek(session.app, tokenHash, NOW), session);
    }
    assert.equal(await store.deleteUser("shop", "ann", NOW), 0);
  });

  check("ending the sessions of a user without any answers 0", async ({ store, add }) => {
    await add();
    assert.equal(await store.deleteUser("shop", "bob", NOW), 0);
    assert.equal(await store.deleteUser("news", "ann", NOW), 0);
    assert.equal(store.stats().sessions, 1);
  });

  check("user ids are told apart to the letter", async ({ store, addMany }) => {
    const ids = ["ann", "Ann", "ann ", "an_", "an%", "ann:", "a", "", "ann\u0301"];
    await addMany(ids.length, (index) => ({ userId: ids[index] ?? "" }));
    assert.equal(await store.deleteUser("shop", "an_", NOW), 1);
    assert.equal(await store.deleteUser("shop", "an%", NOW), 1);
    assert.equal(await store.deleteUser("shop", "ann", NOW), 1);
    const left = (await listAll(store, "shop", NOW)).map(({ userId }) => userId);
    assert.deepEqual(left.toSorted(), ["", "Ann", "a", "ann ", "ann:", "ann\u0301"].toSorted());
  });

  for (const [name, keyOf] of Object.entries(NAMINGS)) {
    check(`a session kept by ${name} is the only one left`, async (trial) => {
      const { store, addMany } = trial;
      const [first, kept, last] = await addMany(3);
      assert.ok(first && kept && last);
      assert.equal(await store.deleteUser("shop", "ann", NOW, keyOf(kept)), 2);
      await assertGone(trial, first);
      await assertGone(trial, last);
      assert.deepEqual(await store.peek("shop", kept.tokenHash, NOW), kept.session);
      assert.equal(await store.deleteUser("shop", "ann", NOW, keyOf(kept)), 0);
    });

    check(`a session kept by ${name} that is not the user's own ends none`, async (trial) => {
      const { store, add, mint } = trial;
      const own = await add();
      const deleted = await add();
      await store.delete("shop", keyOf(deleted), NOW);
      const wrong = {
        "another user's": await add({ userId: "bob" }),
        "another app's": await add({ app: "blog" }),
        expired: await add({ idleTtl: MINUTE }),
        deleted,
        unknown: mint(),
      };
      for (const [why, minted] of Object.entries(wrong)) {
        const answer = await store.deleteUser("shop", "ann", NOW + MINUTE, keyOf(minted));
        assert.equal(answer, null, why);
      }
      for (const { session, tokenHash } of [own, wrong["another user's"]]) {
        assert.deepEqual(await store.peek("shop", tokenHash, NOW + MINUTE), session);
      }
    });
  }

  check("expired sessions of the user are not counted", async ({ store, add }) => {
    await add({ idleTtl: MINUTE });
    await add({ absoluteExpiresAt: NOW + MINUTE });
    const touched = await add({ idleTtl: MINUTE });
    await store.touch("shop", touched.tokenHash, NOW + 1);
    await add();
    assert.equal(await store.deleteUser("shop", "ann", NOW + MINUTE), 2);
    assert.deepEqual(await listAll(store, "shop", NOW + MINUTE), []);
  });

  check("sessions that the user begins afterwards are found", async ({ store, add }) => {
    await add();
    await store.deleteUser("shop", "ann", NOW);
    const { session, tokenHash } = await add();
    assert.deepEqual(await store.peek("shop", tokenHash, NOW), session);
    assert.deepEqual(await listAll(store, "shop", NOW, { userId: "ann" }), [session]);
  });

  check("touches and updates under way do not revive a user's sessions", async (trial) => {
    const { store, addMany } = trial;
    const ended = await addMany(3);
    const disturb = () =>
      ended.flatMap(({ tokenHash }) => [
        store.touch("shop", tokenHash, NOW + 1),
        store.update("shop", tokenHash, NOW + 1, setKey("a", 1)),
      ]);
    await Promise.all([...disturb(), store.deleteUser("shop", "ann", NOW + 1), ...disturb()]);
    for (const minted of ended) await assertGone(trial, minted);
    assert.equal(store.stats().sessions, 0);
  });

  check("an end that is refused leaves its request id to the next call", async (trial) => {
    const { store, add, mint } = trial;
    await add();
    const request = { app: "shop", requestId: "request-number-1", now: NOW };
    const onceWith = (keep: string) => idempotencyKeyOf("DeleteUserSessions", request, { keep });
    const unknown = { tokenHash: mint().tokenHash };
    const answers = await Promise.all([
      store.deleteUser("shop", "ann", NOW, unknown, { idempotencyKey: onceWith("unknown") }),
      store.deleteUser("shop", "ann", NOW, undefined, { idempotencyKey: onceWith("none") }),
      store.deleteUser("shop", "ann", NOW, undefined, { idempotencyKey: onceWith("none") }),
    ]);
    assert.deepEqual(answers, [null, 1, 1]);
  });
}
