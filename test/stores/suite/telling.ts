import assert from "node:assert/strict";
import { LOG_PERIOD } from "../../../src/domain/sessions/event-log.js";
import type { SessionEvent } from "../../../src/domain/sessions/session-event.js";
import type { SessionStore } from "../../../src/domain/sessions/session-store.js";
import { eventually } from "../../support/eventually.js";
import {
  type Case,
  hasCode,
  MINUTE,
  NOW,
  SECOND,
  setKey,
  sweepAll,
} from "../../support/stores/fixture.js";

/** What a store's listener hears from here on; of touches those of `touchedApp`. */
export function hear({ events }: SessionStore, touchedApp?: string): readonly SessionEvent[] {
  const heard: SessionEvent[] = [];
  events.listen({
    happened: (told) => heard.push(...told),
    wantsTouches: (app) => app === touchedApp,
  });
  return heard;
}

/** All of the log after a revision, read page by page. */
export async function readLog(
  { events }: SessionStore,
  after: number,
  { app = "shop", userId = undefined as string | undefined } = {},
): Promise<SessionEvent[]> {
  const read: SessionEvent[] = [];
  for (let from = after; from < events.latest(); ) {
    const page = await events.read({ app, userId, after: from });
    assert.ok(page && page.revision > from);
    read.push(...page.events);
    from = page.revision;
  }
  return read;
}

const summary = ({ type, sessionId, version, occurredAt, endReason }: SessionEvent) => ({
  ...{ type, sessionId, version, occurredAt, endReason },
});

const told = (events: readonly SessionEvent[]) =>
  events.map(({ type, endReason }) => (endReason === null ? type : `${type}: ${endReason}`));

/** What `events` promises. */
export function eventCases(check: Case): void {
  check("nothing is told or logged of an app that is not watched", async ({ store, add }) => {
    const heard = hear(store);
    await store.events.watch("blog", NOW);
    const { tokenHash } = await add();
    await store.update("shop", tokenHash, NOW, setKey("a", 1));
    await store.delete("shop", { tokenHash }, NOW);
    assert.deepEqual(heard, []);
    assert.equal(await store.events.read({ app: "shop", userId: undefined, after: 0 }), null);
  });

  check("changes are told in their order, and the log has the same", async ({ store, add }) => {
    await store.events.watch("shop", NOW);
    const heard = hear(store);
    const first = store.events.latest();
    const { session, tokenHash } = await add();
    await store.update("shop", tokenHash, NOW + 1, setKey("a", 1));
    await store.delete("shop", { id: session.id }, NOW + 2);
    const of = { sessionId: session.id, endReason: null };
    assert.deepEqual(heard.map(summary), [
      { ...of, type: "created", version: 1, occurredAt: NOW },
      { ...of, type: "updated", version: 2, occurredAt: NOW + 1 },
      { ...of, type: "ended", version: 2, occurredAt: NOW + 2, endReason: "deleted" },
    ]);
    assert.deepEqual(
      heard.map(({ revision, app, userId }) => ({ revision, app, userId })),
      [1, 2, 3].map((n) => ({ revision: first + n, app: "shop", userId: "ann" })),
    );
    assert.equal(store.events.latest(), first + 3);
    assert.deepEqual(await readLog(store, first), heard);
    assert.deepEqual(await readLog(store, first + 1), heard.slice(1));
  });

  check("an end is told with its reason, that of an expiry whoever removes", async (trial) => {
    const { store, add } = trial;
    await store.events.watch("shop", NOW);
    const heard = hear(store);
    const at = NOW + MINUTE;
    const idle = { idleTtl: SECOND };
    const absolute = { absoluteExpiresAt: NOW + 2 * SECOND };
    const ends = async (userId: string, remove: () => Promise<unknown>) => {
      const from = heard.length;
      const made = [];
      for (const one of [{}, idle, absolute]) made.push(await add({ userId, ...one }));
      await remove();
      const ended = heard.slice(from).filter(({ type }) => type === "ended");
      return made.map(({ session: { id } }) => {
        const { endReason, occurredAt } = ended.find(({ sessionId }) => sessionId === id) ?? {};
        return [endReason, occurredAt];
      });
    };
    const expired = [
      ["idle", NOW + SECOND],
      ["absolute", NOW + 2 * SECOND],
    ];
    const byUser = await ends("bob", () => store.deleteUser("shop", "bob", at));
    assert.deepEqual(byUser, [["user", at], ...expired]);
    const byApp = await ends("cid", () => store.deleteApp("shop", at));
    assert.deepEqual(byApp, [["app", at], ...expired]);
    const bySweep = await ends("dan", () => sweepAll(store, at));
    assert.deepEqual(bySweep, [[undefined, undefined], ...expired]);
  });

  check("the session kept and those of others are not told of", async ({ store, add }) => {
    const { tokenHash } = await add();
    await add({ userId: "bob" });
    await add();
    await store.events.watch("shop", NOW);
    const heard = hear(store);
    await store.deleteUser("shop", "ann", NOW, { tokenHash });
    assert.deepEqual(told(heard), ["ended: user"]);
  });

  check("what fails, or finds no session, is not told of", async ({ store, add, mint }) => {
    const { session, tokenHash } = await add();
    await store.events.watch("shop", NOW);
    const heard = hear(store);
    await assert.rejects(store.create(mint().session, tokenHash), hasCode("exists"));
    await assert.rejects(
      store.update("shop", tokenHash, NOW, () => {
        throw new Error("refused");
      }),
    );
    const later = NOW + session.idleTtl;
    assert.equal(await store.delete("shop", { tokenHash }, later), false);
    assert.equal(await store.update("shop", tokenHash, later, setKey("a", 1)), null);
    assert.equal(heard.length, 0);
    await store.update("shop", tokenHash, NOW, setKey("a", 1));
    assert.equal(heard[0]?.revision, store.events.latest());
  });

  check("many changes at once are all told, each once", async ({ store, addMany }) => {
    await store.events.watch("shop", NOW);
    const heard = hear(store);
    const first = store.events.latest();
    const made = await addMany(600);
    await Promise.all(
      made.map(({ tokenHash }, n) =>
        n % 2 === 0
          ? store.delete("shop", { tokenHash }, NOW)
          : store.update("shop", tokenHash, NOW, setKey("n", n)),
      ),
    );
    assert.deepEqual(
      heard.map(({ revision }) => revision),
      Array.from({ length: 1_200 }, (_, n) => first + n + 1),
    );
    assert.equal(new Set(heard.map((event) => `${event.type} ${event.sessionId}`)).size, 1_200);
    assert.deepEqual(await readLog(store, first), heard);
  });

  check("the log can be read by user, whatever others did", async ({ store, add }) => {
    await store.events.watch("shop", NOW);
    await store.events.watch("blog", NOW);
    const heard = hear(store);
    const first = store.events.latest();
    for (let n = 0; n < 300; n++) {
      await add({ userId: n % 100 === 0 ? "bob" : "ann", app: n % 3 === 0 ? "blog" : "shop" });
    }
    for (const app of ["shop", "blog"]) {
      const ofApp = heard.filter((event) => event.app === app);
      assert.deepEqual(await readLog(store, first, { app }), ofApp);
      const ofBob = ofApp.filter(({ userId }) => userId === "bob");
      assert.deepEqual(await readLog(store, first, { app, userId: "bob" }), ofBob);
      assert.deepEqual(await readLog(store, first, { app, userId: "nobody" }), []);
    }
  });

  check("a revision that was never told, or before the log, cannot be read from", async (trial) => {
    const { store, add } = trial;
    const { events } = store;
    await events.watch("blog", NOW);
    await add({ app: "blog" });
    await add();
    await events.watch("shop", NOW);
    await add();
    const read = (after: number) => events.read({ app: "shop", userId: undefined, after });
    assert.equal(await read(events.latest() + 1), null);
    assert.notEqual(await read(events.latest()), null);
    assert.notEqual(await read(events.latest() - 1), null);
    assert.equal(await read(events.latest() - 2), null);
  });

  check("a log ends when nobody watched for its period, and one begins anew", async (trial) => {
    const { store, add } = trial;
    const { events } = store;
    await events.watch("shop", NOW);
    const heard = hear(store);
    const first = events.latest();
    const read = (after: number) => events.read({ app: "shop", userId: undefined, after });
    await events.watch("shop", NOW + LOG_PERIOD - 1);
    const prolonged = NOW + 2 * LOG_PERIOD - 2;
    await add({ createdAt: prolonged });
    assert.equal(heard.length, 1);
    await events.watch("shop", prolonged);
    assert.equal((await read(first))?.events.length, 1);

    const lapsed = prolonged + LOG_PERIOD;
    await add({ createdAt: lapsed });
    assert.equal(heard.length, 1);
    await events.watch("shop", lapsed);
    assert.equal(await read(first), null);
    await add({ createdAt: lapsed });
    assert.deepEqual(told((await read(first + 1))?.events ?? []), ["created"]);
  });

  check("touches are told together to who wants them, and not logged", async (trial) => {
    const { store, add } = trial;
    const touched = await add();
    const ended = await add();
    await store.events.watch("shop", NOW);
    const heard = hear(store, "shop");
    const { tokenHash } = await add();
    const first = store.events.latest();
    for (let n = 1; n <= 5; n++) await store.touch("shop", touched.tokenHash, NOW + n);
    await store.touch("shop", ended.tokenHash, NOW);
    await store.delete("shop", { tokenHash: ended.tokenHash }, NOW);
    await eventually("the touch", () => heard.length === 3);
    assert.deepEqual(heard.slice(1).map(summary).at(-1), {
      ...{ type: "touched", sessionId: touched.session.id, version: 1 },
      ...{ occurredAt: NOW + 5, endReason: null },
    });
    assert.equal(heard.at(-1)?.revision, first + 1);
    assert.deepEqual(told(await readLog(store, first)), ["ended: deleted"]);

    hear(store);
    await store.touch("shop", tokenHash, NOW);
    await store.update("shop", tokenHash, NOW, setKey("a", 1));
    assert.equal(store.events.latest(), first + 2);
  });
}
