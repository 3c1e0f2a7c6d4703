import assert from "node:assert/strict";
import { hashToken } from "../../../src/domain/token.js";
import { type Case, hasCode, NOW, setKey, WHOLE } from "../../support/stores/fixture.js";

/** What `ping` and `close` promise. */
export function closingCases(check: Case): void {
  check("an open store answers a ping and is not changed by it", async ({ store, add }) => {
    await store.ping();
    const { session, tokenHash } = await add();
    await store.ping();
    assert.deepEqual(await store.peek("shop", tokenHash, NOW), session);
  });

  check("every method rejects with unavailable after close", async ({ store, add, mint }) => {
    const { session, tokenHash } = await add();
    const fresh = mint();
    await store.close();
    const calls: Record<string, () => Promise<unknown>> = {
      create: () => store.create(fresh.session, fresh.tokenHash),
      peek: async () => store.peek("shop", tokenHash, NOW),
      "peek of nothing": async () => store.peek("shop", fresh.tokenHash, NOW),
      touch: async () => store.touch("shop", tokenHash, NOW),
      update: () => store.update("shop", tokenHash, NOW, setKey("a", 1)),
      "delete by token": () => store.delete("shop", { tokenHash }, NOW),
      "delete by id": () => store.delete("shop", { id: session.id }, NOW),
      deleteUser: () => store.deleteUser("shop", "ann", NOW),
      rotate: () =>
        store.rotate("shop", tokenHash, NOW, {
          to: hashToken("another"),
          graceEndsAt: NOW,
          salt: "",
          change: (session) => session,
        }),
      "deleteUser but one": () => store.deleteUser("shop", "ann", NOW, { tokenHash }),
      deleteApp: () => store.deleteApp("shop", NOW),
      list: () => store.list("shop", NOW, WHOLE),
      "list of a user": () => store.list("shop", NOW, { ...WHOLE, userId: "ann" }),
      countActiveUsers: () => store.countActiveUsers("shop", 0, NOW),
      sweep: () => store.sweep(NOW, 10),
      ping: () => store.ping(),
      "read of events": async () => store.events.read({ app: "shop", userId: undefined, after: 0 }),
      "watch of events": () => store.events.watch("shop", NOW),
      "watch of no app": () => store.events.watch("none", NOW),
    };
    for (const [name, call] of Object.entries(calls)) {
      await assert.rejects(call, hasCode("unavailable"), name);
    }
  });

  check("a store may be closed again, also while it closes", async ({ store, add }) => {
    await add();
    await Promise.all([store.close(), store.close()]);
    await store.close();
    await assert.rejects(store.sweep(NOW, 1), hasCode("unavailable"));
  });

  check("writes under way when the store closes are answered", async ({ store, add, mint }) => {
    const { session, tokenHash } = await add();
    const fresh = mint();
    const touched = store.touch("shop", tokenHash, NOW);
    const created = store.create(fresh.session, fresh.tokenHash);
    const updated = store.update("shop", tokenHash, NOW, setKey("a", 1));
    const deleted = store.delete("shop", { id: session.id }, NOW);
    await store.close();
    await created;
    assert.equal((await touched)?.after.reads, 2);
    assert.equal((await updated)?.after.writes, 2);
    assert.equal(await deleted, true);
  });

  check("a method called while the store closes rejects with unavailable", async (trial) => {
    const { store, add } = trial;
    const { tokenHash } = await add();
    const closing = store.close();
    await assert.rejects(async () => store.peek("shop", tokenHash, NOW), hasCode("unavailable"));
    await assert.rejects(store.delete("shop", { tokenHash }, NOW), hasCode("unavailable"));
    await closing;
  });
}
