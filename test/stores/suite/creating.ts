import assert from "node:assert/strict";
import type { Session } from "../../../src/domain/sessions/session.js";
import type { SessionStore } from "../../../src/domain/sessions/session-store.js";
import type { TokenHash } from "../../../src/domain/token.js";
import { type Case, hasCode, listAll, MINUTE, NOW } from "../../support/stores/fixture.js";

/** A creation with a token that the caller made. */
const create = (store: SessionStore, session: Session, tokenHash: TokenHash) =>
  store.create(session, tokenHash, undefined, "", "caller");

/** What `create` promises. */
export function creationCases(check: Case): void {
  check("a created session is found by its token, as it was given", async ({ store, add }) => {
    const { session, tokenHash } = await add({ absoluteExpiresAt: NOW + 90 * MINUTE });
    assert.deepEqual(await store.peek("shop", tokenHash, NOW), session);
  });

  check("a created session is listed and counted", async ({ store, add }) => {
    const { session } = await add();
    assert.deepEqual(await listAll(store, "shop", NOW), [session]);
    assert.equal(await store.countActiveUsers("shop", NOW, NOW), 1);
    assert.equal(store.stats().sessions, 1);
  });

  check("a new store holds nothing", async ({ store, mint }) => {
    assert.equal(store.stats().sessions, 0);
    assert.equal(await store.peek("shop", mint().tokenHash, NOW), null);
    assert.deepEqual(await listAll(store, "shop", NOW), []);
  });

  for (const app of ["shop", "blog"]) {
    const where = app === "shop" ? "the same app" : "another app";

    check(`a token hash taken in ${where} is refused as exists`, async ({ store, add, mint }) => {
      const { session, tokenHash } = await add();
      const second = mint({ app, userId: "bob" });
      await assert.rejects(store.create(second.session, tokenHash), hasCode("exists"));

      assert.deepEqual(await store.peek("shop", tokenHash, NOW), session);
      assert.equal(await store.delete(app, { id: second.session.id }, NOW), false);
      assert.deepEqual(await listAll(store, app, NOW, { userId: "bob" }), []);
    });

    check(`an id taken in ${where} is refused as exists`, async ({ store, add, mint }) => {
      const { session, tokenHash } = await add();
      const second = mint({ app, userId: "bob", id: session.id });
      await assert.rejects(store.create(second.session, second.tokenHash), hasCode("exists"));

      assert.deepEqual(await store.peek("shop", tokenHash, NOW), session);
      assert.equal(await store.peek(app, second.tokenHash, NOW), null);
      assert.deepEqual(await listAll(store, app, NOW, { userId: "bob" }), []);
    });
  }

  check("a failed create leaves nothing", async ({ store, add, mint }) => {
    const { session } = await add();
    const second = mint({ app: "blog", userId: "bob", id: session.id });
    await assert.rejects(store.create(second.session, second.tokenHash), hasCode("exists"));

    assert.equal(store.stats().sessions, 1);
    assert.equal(await store.touch("blog", second.tokenHash, NOW), null);
    assert.equal(await store.countActiveUsers("blog", 0, NOW), 0);
    assert.equal(await store.deleteUser("blog", "bob", NOW), 0);
    assert.equal(await store.deleteApp("blog", NOW), 0);
  });

  check("a failed create takes neither its token hash nor its id", async ({ store, add, mint }) => {
    const taken = await add();
    const fresh = mint();
    const sameId = { ...fresh.session, id: taken.session.id };
    await assert.rejects(store.create(sameId, fresh.tokenHash), hasCode("exists"));
    await assert.rejects(store.create(fresh.session, taken.tokenHash), hasCode("exists"));

    await store.create(fresh.session, fresh.tokenHash);
    assert.deepEqual(await store.peek("shop", fresh.tokenHash, NOW), fresh.session);
  });

  check("of two creates of one token at once, one wins", async ({ store, mint }) => {
    const first = mint();
    const second = mint({ userId: "bob" });
    const outcomes = await Promise.allSettled([
      store.create(first.session, first.tokenHash),
      store.create(second.session, first.tokenHash),
    ]);

    const winners = [first, second].filter((_, index) => outcomes[index]?.status === "fulfilled");
    assert.equal(winners.length, 1);
    assert.deepEqual(await store.peek("shop", first.tokenHash, NOW), winners[0]?.session);
    assert.equal(store.stats().sessions, 1);
  });

  check("a create refused beside others fails alone", async ({ store, add, mint }) => {
    const { tokenHash } = await add();
    const [before, refused, after] = [mint(), mint(), mint()];
    const outcomes = await Promise.allSettled([
      store.create(before.session, before.tokenHash),
      store.create(refused.session, tokenHash),
      store.create(after.session, after.tokenHash),
    ]);

    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.deepEqual(await store.peek("shop", before.tokenHash, NOW), before.session);
    assert.deepEqual(await store.peek("shop", after.tokenHash, NOW), after.session);
    assert.equal(store.stats().sessions, 3);
  });

  check("a caller's token that a session has or had is refused as exists", async (trial) => {
    const { store, add, mint } = trial;
    const { tokenHash: first } = await add();
    const { tokenHash: second } = mint();
    await store.rotate("shop", first, NOW, {
      ...{ to: second, graceEndsAt: NOW + MINUTE, salt: "" },
      change: (session) => session,
    });
    for (const app of ["shop", "blog"]) {
      for (const taken of [first, second]) {
        const { session } = mint({ app, userId: "bob" });
        await assert.rejects(create(store, session, taken), hasCode("exists"));
      }
    }
    assert.equal((await store.peek("shop", second, NOW))?.userId, "ann");
    assert.equal(store.stats().sessions, 1);
  });

  check("who tries to take a caller's token is seen by nobody who uses it", async (trial) => {
    const { store, mint } = trial;
    const { session, tokenHash } = mint();
    await create(store, session, tokenHash);
    const other = mint({ userId: "eve" });
    const attempt = create(store, other.session, tokenHash);
    let isDone = false;
    const refused = assert.rejects(attempt, hasCode("exists")).finally(() => {
      isDone = true;
    });
    while (!isDone) {
      assert.equal((await store.peek("shop", tokenHash, NOW))?.userId, "ann");
      await new Promise(setImmediate);
    }
    await refused;
  });

  check("of creates with one caller's token at once, one wins", async ({ store, mint }) => {
    const { tokenHash } = mint();
    const all = Array.from({ length: 20 }, () => mint());
    const outcomes = await Promise.allSettled(
      all.map(({ session }) => create(store, session, tokenHash)),
    );
    const winners = all.filter((_, index) => outcomes[index]?.status === "fulfilled");
    assert.equal(winners.length, 1);
    assert.deepEqual(await store.peek("shop", tokenHash, NOW), winners[0]?.session);
    assert.equal(store.stats().sessions, 1);
  });

  check("a caller's token whose session ended is another session's, if any", async (trial) => {
    const { store, add, mint } = trial;
    const { session, tokenHash } = await add();
    const { tokenHash: second } = mint();
    const rotation = { to: second, graceEndsAt: NOW, salt: "", change: () => session };
    await store.rotate("shop", tokenHash, NOW, rotation);
    await store.delete("shop", { tokenHash: second }, NOW);
    for (const token of [tokenHash, second]) {
      assert.equal(await store.peek("shop", token, NOW), null);
      const next = mint({ userId: "bob", data: {} });
      await create(store, next.session, token);
      assert.deepEqual(await store.peek("shop", token, NOW), next.session);
      assert.equal(await store.delete("shop", { id: session.id }, NOW), false);
    }
  });

  check("the token hash and the id of an ended session are free again", async (trial) => {
    const { store, add } = trial;
    const { session, tokenHash } = await add();
    await store.delete("shop", { tokenHash }, NOW);

    const again = { ...session, userId: "bob", data: { new: true } };
    await store.create(again, tokenHash);
    assert.deepEqual(await store.peek("shop", tokenHash, NOW), again);
    assert.deepEqual(await listAll(store, "shop", NOW, { userId: "ann" }), []);
  });
}
