import assert from "node:assert/strict";
import { test } from "node:test";
import { LatchkeyError } from "../../../src/domain/error.js";
import { NO_POLICY } from "../../../src/domain/sessions/app-policy.js";
import { idempotencyKeyOf, KEPT } from "../../../src/domain/sessions/idempotency-key.js";
import { DEFAULT_QUOTAS, type Quotas } from "../../../src/domain/sessions/quotas.js";
import type { SessionStore } from "../../../src/domain/sessions/session-store.js";
import { hashToken } from "../../../src/domain/token.js";
import {
  createTrial,
  type Minted,
  NOW,
  type OpenedStore,
  SECOND,
  setKey,
  sweepAll,
  type Trial,
  withStore,
} from "../../support/stores/fixture.js";

/** Makes a new, empty store of these quotas. */
export type OpenWithQuotas = (quotas: Quotas) => OpenedStore | Promise<OpenedStore>;

const quotas = (ofApp: Partial<Quotas["ofApp"]>): Quotas => ({
  ...DEFAULT_QUOTAS,
  ofApp: { ...DEFAULT_QUOTAS.ofApp, ...ofApp },
});

/** For `assert.rejects`: `limit`, in a message that names all of these. */
const isFull =
  (...names: string[]) =>
  (error: unknown) => {
    assert.ok(error instanceof LatchkeyError, String(error));
    assert.equal(error.code, "limit");
    for (const name of names) assert.ok(error.message.includes(name), error.message);
    return true;
  };

const isSessionsFull = isFull("app shop", "LATCHKEY_APP_SESSIONS", "3 sessions");
const isDataFull = isFull("app shop", "LATCHKEY_APP_DATA_MIB");
const isAnswersFull = isFull("app shop", "LATCHKEY_APP_ANSWERS_MIB");

const remove = (store: SessionStore, { tokenHash }: Minted) =>
  store.delete("shop", { tokenHash }, NOW);

/** 100 bytes as JSON. */
const BYTES = { text: `${"é".repeat(44)}.` };

const requestOf = (requestId: string, now = NOW) =>
  idempotencyKeyOf("CreateSession", { app: "shop", requestId, now }, {});

export function quotaCases(open: OpenWithQuotas): void {
  const check = (
    title: string,
    own: Quotas,
    body: (trial: Trial & Pick<OpenedStore, "reopen">) => Promise<void>,
  ) =>
    test(title, () =>
      withStore(
        () => open(own),
        (opened) =>
          body({ ...createTrial(opened), ...(opened.reopen && { reopen: opened.reopen }) }),
      ),
    );

  check(
    "an app has no more sessions than it may, of those created together too",
    quotas({ sessions: 3 }),
    async ({ store, add, mint }) => {
      const minted = Array.from({ length: 8 }, (_, at) => mint({ userId: `user ${at}` }));
      const outcomes = await Promise.allSettled(
        minted.map(({ session, tokenHash }) => store.create(session, tokenHash)),
      );
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        [...Array(3).fill("fulfilled"), ...Array(5).fill("rejected")],
      );
      for (const outcome of outcomes) {
        if (outcome.status === "rejected") isSessionsFull(outcome.reason);
      }
      assert.equal(store.stats().sessions, 3);
      // Others have quotas of their own, and what is there goes on.
      await add({ app: "forum" });
      const [first = assert.fail()] = minted;
      assert.ok(await store.touch("shop", first.tokenHash, NOW));
      assert.ok(await store.update("shop", first.tokenHash, NOW, setKey("n", 1)));
    },
  );

  check(
    "any way to end sessions makes room",
    quotas({ sessions: 3 }),
    async ({ store, add, addMany }) => {
      const refill = async () => {
        const made: Minted[] = [];
        while (made.length < 10) {
          try {
            made.push(await add());
          } catch (error) {
            isSessionsFull(error);
            break;
          }
        }
        return made;
      };
      const [first = assert.fail(), second = assert.fail()] = await refill();
      await remove(store, first);
      assert.equal((await refill()).length, 1);
      await store.delete("shop", { id: second.session.id }, NOW);
      assert.equal((await refill()).length, 1);
      assert.equal(await store.deleteUser("shop", "ann", NOW), 3);
      assert.equal((await refill()).length, 3);
      assert.equal(await store.deleteApp("shop", NOW), 3);
      assert.equal((await refill()).length, 3);
      await sweepAll(store, NOW + 3_600 * SECOND);
      await addMany(3, () => ({ createdAt: NOW + 3_600 * SECOND }));
      await assert.rejects(add(), isSessionsFull);
    },
  );

  check(
    "a creation that evicts needs no room beside",
    quotas({ sessions: 3 }),
    async ({ store, add, addMany }) => {
      await store.setPolicy("shop", {
        ...NO_POLICY,
        maxSessionsPerUser: 1,
        atLimit: "evict_oldest",
      });
      await addMany(3, (index) => ({ userId: `user ${index}` }));
      await assert.rejects(add({ userId: "another" }), isSessionsFull);
      const next = await add({ userId: "user 1" });
      assert.ok(await store.peek("shop", next.tokenHash, NOW));
      assert.equal(store.stats().sessions, 3);
    },
  );

  check("a refused creation evicts nobody", quotas({ dataBytes: 200 }), async ({ store, add }) => {
    await store.setPolicy("shop", { ...NO_POLICY, maxSessionsPerUser: 1, atLimit: "evict_oldest" });
    const kept = await add({ data: BYTES });
    await assert.rejects(add({ data: { ...BYTES, more: "x".repeat(100) } }), isDataFull);
    assert.ok(await store.peek("shop", kept.tokenHash, NOW));
    await add({ data: BYTES });
    assert.equal(await store.peek("shop", kept.tokenHash, NOW), null);
  });

  check(
    "data does not grow beyond what an app may have, and shrinks at any time",
    quotas({ dataBytes: 250 }),
    async ({ store, add }) => {
      const one = await add({ data: BYTES });
      const other = await add({ data: BYTES });
      await assert.rejects(add({ data: BYTES }), isDataFull);
      const set = ({ tokenHash }: Minted, text: string) =>
        store.update("shop", tokenHash, NOW, (session) => ({ ...session, data: { text } }));
      // As bytes of UTF-8, and to the last one of them.
      await assert.rejects(set(one, "é".repeat(70)), isDataFull);
      await set(one, "é".repeat(69));
      await assert.rejects(set(other, `${BYTES.text}xx`), isDataFull);
      await set(other, `${BYTES.text}x`);
      await assert.rejects(set(one, "é".repeat(70)), isDataFull);
      assert.equal((await store.peek("shop", one.tokenHash, NOW))?.data["text"], "é".repeat(69));
      await set(one, "é".repeat(68));
      await set(other, "");
      await add({ data: { text: "x".repeat(50) } });
      await remove(store, one);
      await add({ data: BYTES });
    },
  );

  check(
    "answers are kept as long as promised, and more of an app are refused",
    quotas({ answerBytes: 2_000 }),
    async ({ store, mint, add }) => {
      const create = (requestId: string, minted = mint(), now = NOW) =>
        store.create(minted.session, minted.tokenHash, requestOf(requestId, now));
      const first = mint();
      await create("first", first);
      let kept = 1;
      const fill = async () => {
        for (; kept < 20; kept++) await create(`request ${kept}`);
      };
      await assert.rejects(fill(), isAnswersFull);
      assert.ok(kept >= 2 && kept <= 8, `${kept}`);
      assert.equal(store.stats().sessions, kept);
      const idempotencyKey = idempotencyKeyOf(
        "DeleteAppSessions",
        { app: "shop", requestId: "end", now: NOW },
        {},
      );
      await assert.rejects(store.deleteApp("shop", NOW, idempotencyKey), isAnswersFull);
      await assert.rejects(
        store.update("shop", first.tokenHash, NOW, setKey("n", 1), idempotencyKey),
        isAnswersFull,
      );
      assert.equal(store.stats().sessions, kept);
      // Those that were given are given again; calls without a request_id, and other apps, go on.
      assert.deepEqual((await create("first")).session, first.session);
      await add();
      const forum = { app: "forum", requestId: "first", now: NOW };
      const elsewhere = mint({ app: "forum" });
      await store.create(
        elsewhere.session,
        elsewhere.tokenHash,
        idempotencyKeyOf("CreateSession", forum, {}),
      );
      await sweepAll(store, NOW + KEPT);
      await create("after a day", mint({ createdAt: NOW + KEPT }), NOW + KEPT);
    },
  );

  check(
    "an answer under a key that is used again after its day counts once",
    quotas({ answerBytes: 1_000 }),
    async ({ store, mint }) => {
      for (let day = 0; day < 10; day++) {
        const now = NOW + day * KEPT;
        const { session, tokenHash } = mint({ createdAt: now });
        await store.create(session, tokenHash, requestOf("every day", now));
      }
    },
  );

  check(
    "answers that are swept while their keys are used again count right",
    quotas({ answerBytes: 20_000 }),
    async ({ store, mint }) => {
      const keep = (key: string, now: number) => {
        const { session, tokenHash } = mint({ createdAt: now });
        return store.create(session, tokenHash, requestOf(key, now));
      };
      /** How many answers there is room for. */
      const countRoom = async (now: number) => {
        for (let kept = 0; kept < 100; kept++) {
          try {
            await keep(`to the full ${kept}`, now);
          } catch (error) {
            isAnswersFull(error);
            return kept;
          }
        }
        return assert.fail("it is never full");
      };
      const room = await countRoom(NOW);
      for (let day = 1; day <= 13; day += 4) {
        const now = NOW + day * KEPT;
        await sweepAll(store, now, 10);
        for (const [half, moment] of [now, now + KEPT / 2].entries()) {
          const keys = Array.from({ length: 8 }, (_, at) => `again and again ${half} ${at}`);
          await Promise.all([
            ...keys.map((key) => keep(key, moment)),
            store.sweep(moment, 5),
            ...keys.map((key) => keep(key, moment + KEPT)),
            store.sweep(moment + KEPT, 5),
            store.sweep(moment + KEPT, 5),
          ]);
        }
        await sweepAll(store, now + 3 * KEPT);
      }
      const later = NOW + 20 * KEPT;
      await sweepAll(store, later);
      assert.equal(await countRoom(later), room);
    },
  );

  check(
    "there are no more apps, and no more policies, than may be",
    { ...DEFAULT_QUOTAS, apps: 2, policies: 2 },
    async ({ store, add, mint }) => {
      await add({ app: "shop" });
      await add({ app: "forum" });
      await assert.rejects(add({ app: "third" }), isFull("app third", "(2)"));
      const idempotencyKey = idempotencyKeyOf(
        "DeleteAppSessions",
        { app: "third", requestId: "r", now: NOW },
        {},
      );
      const { session, tokenHash } = mint({ app: "third" });
      await assert.rejects(store.create(session, tokenHash, idempotencyKey), isFull("app third"));
      await add({ app: "shop" });
      await store.setPolicy("shop", NO_POLICY);
      await store.setPolicy("third", { ...NO_POLICY, touchInterval: 1 });
      await assert.rejects(store.setPolicy("forum", NO_POLICY), isFull("app forum", "(2)"));
      await store.setPolicy("third", { ...NO_POLICY, touchInterval: 2 });
      assert.equal(store.policy("third").touchInterval, 2);
    },
  );

  test("quotas hold over restarts, and what is there beyond one can be read and ended", async () => {
    const own = { sessions: 3, dataBytes: 320, answerBytes: 2_000 };
    await withStore(
      () => open(quotas(own)),
      async (opened) => {
        if (!opened.reopen) return;
        const { addMany, mint } = createTrial(opened);
        const [first = assert.fail(), second = assert.fail()] = await addMany(3, () => ({
          data: BYTES,
        }));
        const store = await opened.reopen();
        const create = (minted: Minted) => store.create(minted.session, minted.tokenHash);
        await assert.rejects(create(mint()), isSessionsFull);
        await remove(store, first);
        await assert.rejects(create(mint({ data: { text: "x".repeat(200) } })), isDataFull);
        assert.ok(await store.touch("shop", second.tokenHash, NOW));
        await store.rotate("shop", second.tokenHash, NOW, {
          to: hashToken("rotated"),
          graceEndsAt: NOW,
          salt: "",
          change: (session) => session,
        });
        await create(mint({ data: BYTES }));
        await assert.rejects(create(mint()), isSessionsFull);
      },
    );
  });
}
