import assert from "node:assert/strict";
import { LatchkeyError } from "../../../src/domain/error.js";
import { touched } from "../../../src/domain/sessions/session.js";
import {
  type Case,
  hasCode,
  listAll,
  MINUTE,
  NOW,
  SECOND,
  setKey,
} from "../../support/stores/fixture.js";

/** What `update` promises. */
export function updateCases(check: Case): void {
  check("an update replaces the session and answers before and after", async ({ store, add }) => {
    const { session, tokenHash } = await add();
    const after = { ...session, data: { a: 1 }, writes: 2, version: 2, lastAccessedAt: NOW + 5 };
    assert.deepEqual(await store.update("shop", tokenHash, NOW + 5, () => after), {
      before: session,
      after,
    });
    assert.deepEqual(await store.peek("shop", tokenHash, NOW + 5), after);
    assert.deepEqual(await listAll(store, "shop", NOW + 5), [after]);
    assert.deepEqual(await listAll(store, "shop", NOW + 5, { userId: "ann" }), [after]);
  });

  check("an update sees the touches before it and keeps them", async ({ store, add }) => {
    const { session, tokenHash } = await add();
    await store.touch("shop", tokenHash, NOW + SECOND);
    const change = await store.update("shop", tokenHash, NOW + SECOND, setKey("a", 1));
    assert.deepEqual(change?.before, { ...session, reads: 2, lastAccessedAt: NOW + SECOND });
    assert.equal((await store.touch("shop", tokenHash, NOW + SECOND))?.after.reads, 3);
    assert.equal((await store.peek("shop", tokenHash, NOW + SECOND))?.data["a"], 1);
  });

  check("touches and updates in one turn are all counted", async ({ store, add }) => {
    const { tokenHash } = await add();
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        await store.touch("shop", tokenHash, NOW);
        await Promise.all([
          store.update("shop", tokenHash, NOW, setKey(`key${index}`, index)),
          store.touch("shop", tokenHash, NOW),
        ]);
      }),
    );
    const session = await store.peek("shop", tokenHash, NOW);
    assert.equal(session?.reads, 101);
    assert.equal(session?.writes, 51);
  });

  check("1000 updates at once all take effect", async ({ store, add }) => {
    const { tokenHash } = await add({ data: {} });
    const changes = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) =>
        store.update("shop", tokenHash, NOW, setKey(`key${index}`, index)),
      ),
    );
    const expected = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`key${n}`, n]));
    const session = await store.peek("shop", tokenHash, NOW);
    assert.deepEqual(session?.data, expected);
    assert.equal(session?.writes, 1_001);
    assert.equal(session?.version, 1_001);
    // Each saw a version that no other saw.
    assert.equal(new Set(changes.map((change) => change?.before.version)).size, 1_000);
  });

  check("an update whose change throws rejects with it and changes nothing", async (trial) => {
    const { store, add } = trial;
    const { session, tokenHash } = await add();
    const refusal = new LatchkeyError("version_mismatch", "the session has version 1");
    await assert.rejects(
      store.update("shop", tokenHash, NOW + 1, () => {
        throw refusal;
      }),
      (error) => error === refusal,
    );
    assert.deepEqual(await store.peek("shop", tokenHash, NOW), session);
    assert.deepEqual(await listAll(store, "shop", NOW), [session]);
  });

  check("an update whose change throws fails alone among others", async ({ store, add }) => {
    const [first, refused, last] = [await add(), await add(), await add()];
    const outcomes = await Promise.allSettled([
      store.update("shop", first.tokenHash, NOW, setKey("a", 1)),
      store.update("shop", refused.tokenHash, NOW, () => {
        throw new LatchkeyError("limit", "too much");
      }),
      store.update("shop", refused.tokenHash, NOW, setKey("a", 2)),
      store.update("shop", last.tokenHash, NOW, setKey("a", 3)),
    ]);

    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled", "fulfilled"],
    );
    assert.equal((await store.peek("shop", first.tokenHash, NOW))?.data["a"], 1);
    assert.equal((await store.peek("shop", refused.tokenHash, NOW))?.data["a"], 2);
    assert.equal((await store.peek("shop", refused.tokenHash, NOW))?.writes, 2);
    assert.equal((await store.peek("shop", last.tokenHash, NOW))?.data["a"], 3);
  });

  check("of updates that expect one version, one wins", async ({ store, add }) => {
    const { tokenHash } = await add();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) =>
        store.update("shop", tokenHash, NOW, (session) => {
          if (session.version !== 1) throw new LatchkeyError("version_mismatch", "read it again");
          return setKey("winner", index)(session);
        }),
      ),
    );
    const winner = outcomes.findIndex(({ status }) => status === "fulfilled");
    const losers = outcomes.filter(({ status }) => status === "rejected");
    assert.equal(losers.length, 9);
    for (const loser of losers) {
      assert.ok(loser.status === "rejected" && hasCode("version_mismatch")(loser.reason));
    }
    assert.equal((await store.peek("shop", tokenHash, NOW))?.data["winner"], winner);
  });

  check("an update can lengthen and shorten the idle time", async ({ store, add }) => {
    const { tokenHash } = await add({ idleTtl: MINUTE });
    await store.update("shop", tokenHash, NOW, (session) => ({ ...session, idleTtl: 2 * MINUTE }));
    assert.notEqual(await store.peek("shop", tokenHash, NOW + 2 * MINUTE - 1), null);
    await store.update("shop", tokenHash, NOW, (session) => ({ ...session, idleTtl: SECOND }));
    assert.equal(await store.peek("shop", tokenHash, NOW + SECOND), null);
  });

  check("an update can set and move the absolute deadline", async ({ store, add }) => {
    const { tokenHash } = await add();
    for (const deadline of [NOW + MINUTE, NOW + 2 * MINUTE, NOW + SECOND]) {
      await store.update("shop", tokenHash, NOW, (session) => ({
        ...session,
        absoluteExpiresAt: deadline,
      }));
      assert.notEqual(await store.peek("shop", tokenHash, deadline - 1), null);
      assert.equal(await store.peek("shop", tokenHash, deadline), null);
    }
  });

  check("an update restarts the idle time if its change says so", async ({ store, add }) => {
    const { tokenHash } = await add({ idleTtl: MINUTE });
    await store.update("shop", tokenHash, NOW + 30 * SECOND, (session) => ({
      ...session,
      lastAccessedAt: touched(session, NOW + 30 * SECOND).lastAccessedAt,
    }));
    assert.notEqual(await store.peek("shop", tokenHash, NOW + 90 * SECOND - 1), null);
    assert.equal(await store.peek("shop", tokenHash, NOW + 90 * SECOND), null);
  });

  check("an update can change the address and the user agent", async ({ store, add }) => {
    const { session, tokenHash } = await add();
    const after = { ...session, ip: "2001:db8::7", userAgent: "curl/8.5" };
    await store.update("shop", tokenHash, NOW, () => after);
    assert.deepEqual(await store.peek("shop", tokenHash, NOW), after);
    assert.deepEqual(await listAll(store, "shop", NOW), [after]);
  });
}
