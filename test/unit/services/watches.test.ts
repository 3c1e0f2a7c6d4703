import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { LatchkeyError } from "../../../src/domain/error.js";
import { LOG_PERIOD, LOG_RENEWAL } from "../../../src/domain/sessions/event-log.js";
import { startSweeper } from "../../../src/services/sweeper.js";
import type { WatchAnswer } from "../../../src/services/watches/watch-request.js";
import { createWatches } from "../../../src/services/watches/watches.js";
import { createMemoryStore } from "../../../src/stores/memory/store.js";
import { createTrial, hasCode, NOW, SECOND, setKey } from "../../support/stores/fixture.js";

// Nothing else keeps this process going while only a mark of progress is awaited.
let alive: NodeJS.Timeout | undefined;
before(() => {
  alive = setInterval(() => {}, 1_000);
});
after(() => clearInterval(alive));

/** Watches over a store in memory, with a clock that the test moves. */
function createStage({ progressInterval = 60_000 } = {}) {
  const store = createMemoryStore({ swept: () => {} });
  const trial = createTrial({ store });
  const seen = { now: NOW, sent: 0, dropped: 0, mayGoOn: true };
  const now = () => seen.now;
  const watches = createWatches({
    ...{ store, now, progressInterval },
    observer: {
      sent: (events) => {
        seen.sent += events;
      },
      dropped: () => {
        seen.dropped++;
      },
    },
  });
  const watch = (request: { userId?: string; resumeRevision?: number } = {}) => {
    const abort = new AbortController();
    const answers = watches.watch(
      { app: "shop", userId: "", includeTouches: false, ...request },
      {
        signal: abort.signal,
        ...{ owner: "here", who: "", room() {} },
        checkCaller: () => {
          if (!seen.mayGoOn) throw new LatchkeyError("unauthenticated", "ended");
        },
      },
    );
    const next = async (): Promise<WatchAnswer | undefined> => (await answers.next()).value;
    /** Takes answers up to the first mark of progress. */
    const catchUp = async () => {
      const taken: WatchAnswer[] = [];
      for (let answer = await next(); answer; answer = await next()) {
        taken.push(answer);
        if (answer.type === "progress") break;
      }
      return taken;
    };
    return { next, catchUp, abort: () => abort.abort(), close: () => answers.return(undefined) };
  };
  return { ...trial, store, seen, now, watches, watch };
}

test("a watcher who does not take is dropped, keeps nothing, and can resume", async () => {
  const { store, add, seen, watches, watch } = createStage();
  const { tokenHash } = await add();
  const slow = watch();
  const quick = watch();
  const begun = await slow.catchUp();
  await quick.catchUp();
  const revision = begun.at(-1)?.revision ?? 0;
  const update = () => store.update("shop", tokenHash, NOW, setKey("a", 1));
  for (let n = 0; n < 1_000; n++) await update();
  assert.equal(watches.count(), 2, "so many may wait");
  let taken = 0;
  while (taken < 1_000) {
    const answer = await quick.next();
    if (answer?.type === "events") taken += answer.events.length;
  }
  await update();
  assert.equal(watches.count(), 1, "it left when one more came");
  assert.equal(seen.dropped, 1);
  await assert.rejects(slow.next(), hasCode("limit"));
  assert.equal(await slow.next(), undefined);

  const again = watch({ resumeRevision: revision });
  const events = (await again.catchUp()).flatMap((one) =>
    one.type === "events" ? one.events : [],
  );
  assert.deepEqual(
    events.map((event) => event.revision),
    Array.from({ length: 1_001 }, (_, n) => revision + n + 1),
  );
  for (const one of [quick, again]) {
    one.abort();
    await one.close();
  }
});

test("a watcher who takes slowly reads what it missed from the log, at its own pace", async () => {
  const { store, add, seen, watches, watch } = createStage();
  const { tokenHash } = await add();
  const slow = watch();
  assert.equal((await slow.next())?.type, "snapshot");
  for (let n = 0; n < 5_000; n++) await store.update("shop", tokenHash, NOW, setKey("a", 1));
  const answers = await slow.catchUp();
  const sizes = answers.map((one) => (one.type === "events" ? one.events.length : 0));
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    5_000,
  );
  assert.ok(Math.max(...sizes) <= 1_000);
  assert.equal(seen.dropped, 0);
  assert.equal(watches.count(), 1);
  slow.abort();
  await slow.close();
  assert.equal(watches.count(), 0);
});

test("an idle watch gets marks of progress, with the latest revision", async () => {
  const { add, watch } = createStage({ progressInterval: 1 });
  const watcher = watch({ userId: "ann" });
  const begun = await watcher.catchUp();
  await add({ userId: "bob" });
  const mark = await watcher.next();
  assert.deepEqual(mark, { type: "progress", revision: (begun.at(-1)?.revision ?? 0) + 1 });
  assert.deepEqual(await watcher.next(), mark);
  watcher.abort();
  await watcher.close();
});

test("a watch keeps the app's log going, however long it lasts", async () => {
  const { add, seen, watch } = createStage({ progressInterval: 1 });
  const watcher = watch();
  await watcher.catchUp();
  for (let passed = 0; passed < 2 * LOG_PERIOD; passed += LOG_RENEWAL) {
    seen.now += LOG_RENEWAL;
    // The mark before the renewal, and the one after it.
    await watcher.next();
    await watcher.next();
  }
  await add({ createdAt: seen.now });
  let answer = await watcher.next();
  while (answer?.type === "progress") answer = await watcher.next();
  assert.equal(answer?.type, "events");
  watcher.abort();
  await watcher.close();
});

test("a watch whose caller may not go on tells nothing more", async () => {
  const { add, seen, watches, watch } = createStage();
  const watcher = watch();
  await watcher.catchUp();
  seen.mayGoOn = false;
  await add();
  await assert.rejects(watcher.next(), hasCode("unauthenticated"));
  assert.equal(watches.count(), 0);
});

test("a watch that its caller left is gone at once, though nobody asks it for more", async () => {
  const { watches, watch } = createStage();
  const watcher = watch();
  await watcher.catchUp();
  assert.equal(watches.count(), 1);
  watcher.abort();
  assert.equal(watches.count(), 0);
  assert.equal(await watcher.next(), undefined);
});

test("watches that are closed end as unavailable, and none begins", async () => {
  const { watches, watch } = createStage();
  const watcher = watch();
  await watcher.catchUp();
  const next = watcher.next();
  watches.close();
  await assert.rejects(next, hasCode("unavailable"));
  await assert.rejects(watch().next(), hasCode("unavailable"));
});

test("an expiry is told within a second of the deadline, by the clock of the server", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { store, add, seen, now } = createStage();
  const heard: { at: number; deadline: number }[] = [];
  const turns = async () => {
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  };
  await store.events.watch("shop", NOW);
  store.events.listen({
    happened: (events) => {
      for (const { occurredAt, type } of events) {
        if (type === "ended") heard.push({ at: now(), deadline: occurredAt });
      }
    },
    wantsTouches: () => false,
  });
  for (let n = 0; n < 600; n++) await add({ idleTtl: 10 * SECOND + n * 17 });
  const sweeper = startSweeper({
    ...{ store, removalTime: now, clock: () => 0, interval: 250 },
    onError: (error) => {
      throw error;
    },
  });
  for (let step = 0; step < 25_000 / 50; step++) {
    seen.now += 50;
    t.mock.timers.tick(50);
    await turns();
  }
  sweeper.stop();
  assert.equal(heard.length, 600);
  assert.ok(heard.every(({ at, deadline }) => at >= deadline && at < deadline + SECOND));
});
