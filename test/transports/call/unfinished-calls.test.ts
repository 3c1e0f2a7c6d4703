import assert from "node:assert/strict";
import { test } from "node:test";
import { status } from "@grpc/grpc-js";
import { createByteBudget } from "../../../src/transports/call/byte-budget.js";
import { eventually } from "../../support/eventually.js";
import {
  beginMessage,
  type HalfCall,
  type HalfCalls,
  openHalfCalls,
} from "../../support/transports/half-call.js";
import { type ListenersOptions, withListeners } from "../../support/transports/listeners.js";

const MIB = 2 ** 20;
const CREATE = "/latchkey.session.v1.SessionService/CreateSession";
const WATCH = "/latchkey.session.v1.SessionService/WatchSessions";
const ENCRYPT = "/latchkey.rke.v1.RkeService/EncryptStream";
const HEALTH = "/grpc.health.v1.Health/Check";
const REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/** Runs `body` with two connections to listeners that ask for no credentials. */
const withCalls = (
  options: ListenersOptions,
  body: (one: HalfCalls, other: HalfCalls) => Promise<void>,
) =>
  withListeners(options, async ({ grpc }) => {
    const [one, other] = [openHalfCalls(grpc), openHalfCalls(grpc)];
    try {
      await body(one, other);
    } finally {
      one.close();
      other.close();
    }
  });

/** A request without a field. */
const EMPTY = Buffer.alloc(5);

for (const path of [CREATE, WATCH, ENCRYPT, HEALTH, REFLECTION]) {
  test(`a message that is not whole in 30 s ends its call: ${path}`, async () => {
    let now = 0;
    const clock = () => now;
    await withCalls({ clock }, async (calls) => {
      const begun = [Buffer.alloc(0), Buffer.alloc(3), beginMessage(1_000)];
      const slow = begun.map((bytes) => calls.begin(path, bytes).answer);
      // An answer that comes after those calls were taken up.
      await calls.begin("/nowhere", EMPTY).answer;
      now += 30_000;
      for (const answer of await Promise.all(slow)) {
        assert.equal(answer.code, status.DEADLINE_EXCEEDED);
        assert.match(answer.message, /within 30 s/);
      }
    });
  });
}

test("a call of which one message is whole has 30 s more for the next, and as long as it likes between", async () => {
  let now = 0;
  await withCalls({ clock: () => now }, async (calls) => {
    const call = calls.begin(REFLECTION, EMPTY);
    await calls.begin("/nowhere", EMPTY).answer;
    now += 100_000;
    call.write(beginMessage(1_000));
    await calls.begin("/nowhere", EMPTY).answer;
    now += 30_000;
    // It was answered before, so the stream is reset.
    await assert.rejects(call.answer, /CANCEL|closed with 8/);
  });
});

const isOverloaded = async (answer: HalfCall["answer"]) => {
  const { code, message } = await answer;
  assert.equal(code, status.RESOURCE_EXHAUSTED);
  assert.match(message, /more calls than/);
};

for (const path of [CREATE, WATCH, ENCRYPT]) {
  test(`what a connection's unfinished requests may hold is bounded: ${path}`, async () => {
    const budget = createByteBudget({ mostOfOne: 16 * MIB });
    await withCalls({ budget }, async (one, other) => {
      const held = Array.from({ length: 16 }, () => one.begin(path, beginMessage()));
      await eventually("16 MiB in hand", () => budget.held() === 16 * MIB);
      await isOverloaded(one.begin(path, beginMessage()).answer);
      // Another's connection has its own.
      other.begin(path, beginMessage());
      await eventually("17 MiB in hand", () => budget.held() === 17 * MIB);
      held[0]?.cancel();
      await eventually("16 MiB in hand", () => budget.held() === 16 * MIB);
      one.begin(path, beginMessage());
      await eventually("17 MiB in hand", () => budget.held() === 17 * MIB);
    });
    await eventually("nothing in hand", () => budget.held() === 0);
  });
}

test("what the unfinished requests of all may hold is bounded", async () => {
  const budget = createByteBudget({ most: 2 * MIB });
  await withCalls({ budget }, async (one, other) => {
    one.begin(CREATE, beginMessage());
    one.begin(CREATE, beginMessage());
    await eventually("2 MiB in hand", () => budget.held() === 2 * MIB);
    await isOverloaded(other.begin(CREATE, beginMessage()).answer);
  });
});

test("what the header lists of a connection's calls may hold is bounded, and given back", () =>
  withCalls({}, async (one, other) => {
    // Of each list some 61 KiB count, and of a connection 2 MiB.
    const headers = { "x-long": "a".repeat(62_000) };
    const fitting = Array.from({ length: 34 }, () => one.begin(CREATE, Buffer.alloc(0), headers));
    await isOverloaded(one.begin(CREATE, Buffer.alloc(0), headers).answer);
    // Short ones, and another's, go on: these are refused for what they ask.
    const isServed = async (calls: HalfCalls, more = {}) =>
      (await calls.begin("/nowhere", EMPTY, more).answer).code === status.UNIMPLEMENTED;
    assert.ok(await isServed(one));
    assert.ok(await isServed(other, headers));
    fitting[0]?.cancel();
    await eventually("room", () => isServed(one, headers));
  }));

test("a packed message counts by what it may unpack to", async () => {
  const budget = createByteBudget();
  await withCalls({ budget }, async (calls) => {
    calls.begin(CREATE, beginMessage(100, 1, true), { "grpc-encoding": "gzip" });
    await eventually("a packed message", () => budget.held() === 100 * 1_032);
    calls.begin(CREATE, beginMessage(2_000, 1, true), { "grpc-encoding": "gzip" });
    await eventually("a bomb", () => budget.held() === 100 * 1_032 + MIB);
  });
});

test("a message to a service that is open to all has at most 4 KiB, packed or not", async () => {
  await withCalls({}, async (calls) => {
    for (const [length, isPacked] of [
      [4_097, false],
      [4, true],
    ] as const) {
      const call = calls.begin(HEALTH, beginMessage(length, 1, isPacked));
      const { code, message } = await call.answer;
      assert.equal(code, status.RESOURCE_EXHAUSTED);
      assert.match(message, /at most 4096 bytes/);
    }
  });
});

test("a connection may have 100 calls to services that are open to all", async () => {
  await withCalls({}, async (one, other) => {
    // Its caller is known from here on; fewer calls of a stranger come as far as that.
    await one.begin(CREATE, EMPTY).answer;
    await eventually("leave", () => one.mostCalls() === 1_024);
    const held = Array.from({ length: 100 }, () => one.begin(HEALTH, Buffer.alloc(0)));
    const refused = await one.begin(HEALTH, EMPTY).answer;
    assert.match(refused.message, /may have 100 such calls/);
    held[0]?.cancel();
    // Once there is room again, a call is refused for its message alone.
    await eventually("room", async () => {
      const later = await one.begin(HEALTH, beginMessage(5_000)).answer;
      return later.message.includes("at most 4096 bytes");
    });
    const others = other.begin(HEALTH, beginMessage(5_000));
    assert.match((await others.answer).message, /at most 4096 bytes/);
  });
});
