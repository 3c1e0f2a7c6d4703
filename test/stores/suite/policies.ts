import assert from "node:assert/strict";
import { type AppPolicy, NO_POLICY } from "../../../src/domain/sessions/app-policy.js";
import type { SessionStore } from "../../../src/domain/sessions/session-store.js";
import {
  type Case,
  hasCode,
  listAll,
  MINUTE,
  type Minted,
  NOW,
  type OpenStore,
  SECOND,
  withStore,
} from "../../support/stores/fixture.js";

const REFUSE_AT_2: AppPolicy = { ...NO_POLICY, maxSessionsPerUser: 2 };
const EVICT_AT_3: AppPolicy = {
  ...NO_POLICY,
  maxSessionsPerUser: 3,
  atLimit: "evict_least_recently_used",
};

/**
 * How many of the sessions live at this instant, as far as the store knows without looking into its
 * file: what it looks up there is answered at an instant of its own.
 */
function countLiveNow(store: SessionStore, all: readonly Minted[]): number {
  const found = all.map(({ session, tokenHash }) => store.peek(session.app, tokenHash, NOW));
  return found.filter((one) => one !== null && !(one instanceof Promise)).length;
}

/** How many of them live, once nothing changes them any more. */
async function countLive(store: SessionStore, all: readonly Minted[]): Promise<number> {
  const found = all.map(({ session, tokenHash }) => store.peek(session.app, tokenHash, NOW));
  return (await Promise.all(found)).filter((session) => session !== null).length;
}

/** What `setPolicy` promises, and what creations and touches make of it. */
export function policyCases(check: Case): void {
  check("an app has no policy until it is set, then the last", async ({ store }) => {
    assert.deepEqual(store.policy("shop"), NO_POLICY);
    await store.setPolicy("shop", REFUSE_AT_2);
    await store.setPolicy("shop", EVICT_AT_3);
    assert.deepEqual(store.policy("shop"), EVICT_AT_3);
    assert.deepEqual(store.policy("blog"), NO_POLICY);
  });

  check("a creation over the cap is refused and leaves nothing", async ({ store, add, mint }) => {
    await store.setPolicy("shop", REFUSE_AT_2);
    const kept = [await add(), await add()];
    const { session, tokenHash } = mint();
    await assert.rejects(store.create(session, tokenHash), hasCode("limit"));
    assert.equal(store.stats().sessions, 2);
    assert.equal(await store.peek("shop", tokenHash, NOW), null);
    assert.equal(await countLive(store, kept), 2);
    await add({ userId: "bob" });
    await add({ app: "blog" });
  });

  check("a creation at the cap ends the session used longest ago", async ({ store, add }) => {
    await store.setPolicy("shop", EVICT_AT_3);
    const [first, second, third] = [await add(), await add(), await add()];
    await store.touch("shop", first.tokenHash, NOW + SECOND);
    await store.update("shop", second.tokenHash, NOW + 2 * SECOND, (session) => ({
      ...session,
      lastAccessedAt: NOW + 2 * SECOND,
    }));
    await add({ createdAt: NOW + 3 * SECOND });
    assert.equal(await store.peek("shop", third.tokenHash, NOW), null);
    await add({ createdAt: NOW + 3 * SECOND });
    assert.equal(await store.peek("shop", first.tokenHash, NOW), null);
    assert.notEqual(await store.peek("shop", second.tokenHash, NOW), null);
    assert.equal(store.stats().sessions, 3);
  });

  check("expired sessions do not count towards the cap, swept or not", async (trial) => {
    const { store, add } = trial;
    await store.setPolicy("shop", REFUSE_AT_2);
    await add({ idleTtl: MINUTE });
    await add({ idleTtl: 2 * MINUTE });
    await add({ createdAt: NOW + MINUTE });
    await assert.rejects(add({ createdAt: NOW + 2 * MINUTE - 1 }), hasCode("limit"));
    await add({ createdAt: NOW + 2 * MINUTE });
  });

  check("a creation refused as taken evicts nothing", async ({ store, addMany, mint }) => {
    await store.setPolicy("shop", EVICT_AT_3);
    const all = await addMany(3);
    // Not of the one that would give way.
    const taken = all[2]?.tokenHash ?? assert.fail();
    await assert.rejects(store.create(mint().session, taken), hasCode("exists"));
    assert.equal(await countLive(store, all), 3);
    assert.equal(store.stats().sessions, 3);
  });

  check("a cap that is set holds for creations under way", async ({ store, addMany }) => {
    const before = addMany(5);
    const set = store.setPolicy("shop", { ...EVICT_AT_3, atLimit: "evict_oldest" });
    const after = addMany(2);
    await set;
    const all = [...(await before), ...(await after)];
    assert.equal(await countLive(store, all), 3);
    assert.equal(await countLive(store, all.slice(-3)), 3);
  });

  check("at no instant has a user more sessions than the cap allows", async (trial) => {
    const { store, mint } = trial;
    await store.setPolicy("shop", EVICT_AT_3);
    const all = Array.from({ length: 100 }, () => mint());
    let isDone = false;
    const creations = all.map(async ({ session, tokenHash }, index) => {
      for (let turn = 0; turn < index % 7; turn++) await new Promise(setImmediate);
      await store.create(session, tokenHash);
    });
    const done = Promise.all(creations).finally(() => {
      isDone = true;
    });
    let instants = 0;
    while (!isDone) {
      assert.ok(countLiveNow(store, all) <= 3);
      assert.ok((await listAll(store, "shop", NOW)).length <= 3);
      instants++;
      await new Promise(setImmediate);
    }
    await done;
    assert.ok(instants > 5, "the store was not looked at in between");
    assert.equal(await countLive(store, all), 3);
    assert.equal((await listAll(store, "shop", NOW)).length, 3);
    assert.equal(store.stats().sessions, 3);
  });

  check("a read within the touch interval changes nothing", async ({ store, add }) => {
    await store.setPolicy("shop", { ...NO_POLICY, touchInterval: MINUTE });
    const { session, tokenHash } = await add();
    const within = await store.touch("shop", tokenHash, NOW + MINUTE - 1);
    assert.deepEqual(within, { before: session, after: session });
    const due = await store.touch("shop", tokenHash, NOW + MINUTE);
    assert.equal(due?.after.reads, 2);
    assert.equal(due?.after.lastAccessedAt, NOW + MINUTE);
  });
}

/** A store that keeps its sessions keeps its policies, and its caps count what it kept. */
export function keptPolicies(open: OpenStore): Promise<void> {
  return withStore(open, async ({ store, reopen }) => {
    if (!reopen) return;
    const whole: AppPolicy = {
      defaultIdleTtl: MINUTE,
      maxIdleTtl: 2 * MINUTE,
      defaultAbsoluteTtl: 3 * MINUTE,
      maxAbsoluteTtl: 4 * MINUTE,
      maxSessionsPerUser: 5,
      atLimit: "evict_oldest",
      bindIp: "report",
      bindUserAgent: "end",
      touchInterval: SECOND,
      callerTokens: true,
    };
    await store.setPolicy("shop", REFUSE_AT_2);
    await store.setPolicy("shop", whole);
    await store.setPolicy("blog", REFUSE_AT_2);
    const reopened = await reopen();
    assert.deepEqual(reopened.policy("shop"), whole);
    assert.deepEqual(reopened.policy("blog"), REFUSE_AT_2);
  });
}
