import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { v7 as uuidv7 } from "uuid";
import { SessionService } from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { createSessions } from "../../src/services/sessions/sessions.js";
import { createMemoryStore } from "../../src/stores/memory/store.js";
import { openThreadWriter } from "../../src/stores/sqlite/commit/client.js";
import { createRandom, type Random, seedOf } from "../support/random.js";
import { createDatabase } from "../support/stores/database.js";
import { turns } from "../support/stores/faulty-disk.js";
import { NOW, type OpenStore, recordObserver, runs, withStore } from "../support/stores/fixture.js";
import { STORES, withServer } from "../support/transports/server.js";
import { openWire } from "../support/transports/wires.js";
import { callServer, callUseCases } from "./callers.js";
import { type Caller, type HistoryOptions, recordHistories } from "./histories.js";
import { type Call, isLinearizable } from "./linearizability.js";
import { type Answer, type Operation, SESSION } from "./session-object.js";

/** One for every ten sequences that the models are tried with, or a few. */
const HISTORIES = Math.ceil(runs(400) / 10);
const SERVED_HISTORIES = Math.ceil(HISTORIES / 2);

const NEVER = Number.POSITIVE_INFINITY;
const CREATED: Call<Operation> = {
  operation: { do: "create", value: 1, answer: { value: 1, version: 1, reads: 1 } },
  ...{ made: 1, answered: 2 },
};

function call(made: number, answered: number, operation: Operation): Call<Operation> {
  return { made, answered, operation };
}

const update = (value: number, version: number): Operation => {
  return { do: "update", token: 0, value, answer: { value, version, reads: 1 } };
};
const peek = (answer: Answer): Operation => ({ do: "peek", token: 0, answer });
const first = { value: 1, version: 1, reads: 1 };
const second = { value: 2, version: 2, reads: 1 };

const accepted: Record<string, readonly Call<Operation>[]> = {
  "one call after the other": [call(3, 4, update(2, 2)), call(5, 6, peek(second))],
  "a read that overlaps an update and sees it": [
    call(3, 6, update(2, 2)),
    call(4, 5, peek(second)),
  ],
  "one that does not see it": [call(3, 6, update(2, 2)), call(4, 5, peek(first))],
  "updates whose order only their versions tell": [
    call(3, 8, update(3, 3)),
    call(4, 7, update(2, 2)),
    call(5, 6, peek(first)),
  ],
  "an update without an answer that came about late": [
    call(3, NEVER, update(2, 2)),
    call(4, 5, peek(first)),
    call(6, 7, peek(second)),
  ],
  "one that never came about": [call(3, NEVER, update(2, 2)), call(4, 5, peek(first))],
  "a session that ended, after a delete without an answer": [
    call(3, NEVER, { do: "delete", token: 0, answer: "done" }),
    call(4, 5, peek("absent")),
  ],
};

const rejected: Record<string, readonly Call<Operation>[]> = {
  "a stale read": [call(3, 4, update(2, 2)), call(5, 6, peek(first))],
  "a read of what nobody wrote": [call(3, 4, peek(second))],
  "a lost update": [call(3, 6, update(2, 2)), call(4, 7, update(3, 2))],
  "a read that goes back": [
    call(3, 10, update(2, 2)),
    call(4, 5, peek(second)),
    call(6, 7, peek(first)),
  ],
  "a session that is there again": [
    call(3, 4, { do: "delete", token: 0, answer: "done" }),
    call(5, 6, peek(first)),
  ],
  "an update without an answer that came about twice": [
    call(3, NEVER, update(2, 2)),
    call(4, 5, peek({ ...second, version: 3 })),
  ],
  "a touch that is not counted": [
    call(3, 4, { do: "touch", token: 0, answer: { ...first, reads: 2 } }),
    call(5, 6, peek(first)),
  ],
};

describe("the check of histories", () => {
  for (const [what, calls] of Object.entries(accepted)) {
    test(`accepts ${what}`, () => assert.ok(isLinearizable([CREATED, ...calls], SESSION)));
  }
  for (const [what, calls] of Object.entries(rejected)) {
    test(`rejects ${what}`, () => assert.ok(!isLinearizable([CREATED, ...calls], SESSION)));
  }
});

/** Records histories and checks each; answers how many calls overlapped another. */
async function checkHistories(seed: number, options: HistoryOptions): Promise<number> {
  const histories = await recordHistories(options);
  for (const calls of histories) {
    if (isLinearizable(calls, SESSION)) continue;
    const lines = calls.map((one) => JSON.stringify(one)).join("\n");
    assert.fail(`TEST_SEED=${seed}: no order explains these answers:\n${lines}`);
  }
  const overlaps = (one: Call<Operation>, other: Call<Operation>) =>
    one !== other && one.made < other.answered && other.made < one.answered;
  return histories.flatMap((calls) =>
    calls.filter((one) => calls.some((other) => overlaps(one, other))),
  ).length;
}

/** A caller who does not wait for some answers. */
function impatient(caller: Caller, random: Random): Caller {
  const maybe = async <T>(answer: Promise<T>): Promise<T | undefined> => {
    if (random(12) > 0) return answer;
    answer.catch(() => undefined);
    return undefined;
  };
  return {
    create: caller.create,
    peek: (token) => maybe(caller.peek(token)),
    touch: (token) => maybe(caller.touch(token)),
    update: (token, value) => maybe(caller.update(token, value)),
    rotate: (token) => maybe(caller.rotate(token)),
    delete: (token) => maybe(caller.delete(token)),
  };
}

const stores: Record<string, OpenStore> = {
  memory: () => {
    const seen = recordObserver();
    const store = createMemoryStore(seen.observer, { firstRevision: 1 });
    return { store, seen, dispose: () => store.close() };
  },
  SQLite: () => createDatabase({ openWriter: openThreadWriter, clock: () => performance.now() }),
};

async function overStore(t: TestContext, open: OpenStore): Promise<void> {
  const seed = seedOf(t);
  const random = createRandom(seed);
  let overlapping = 0;
  await withStore(open, async ({ store }) => {
    let users = 0;
    const sessions = createSessions({
      ...{ store, now: () => NOW, randomBytes, logger: { warn: () => {} } },
      newSessionId: (msecs) => uuidv7({ msecs }),
    });
    const caller = callUseCases(sessions, () => `user ${users++}`);
    for (let history = 0; history < HISTORIES; history += 10) {
      overlapping += await checkHistories(seed, {
        ...{ callers: [caller, impatient(caller, random)], random, sessions: 10 },
        ...{ calls: 40, workers: 5, pause: () => turns(random(3)) },
      });
    }
  });
  assert.ok(overlapping > HISTORIES * 5, `only ${overlapping} calls overlapped`);
}

for (const [name, open] of Object.entries(stores)) {
  test(`many at once on one session, over ${name}, are answered as if one after the other`, (t) =>
    overStore(t, open));
}

for (const kind of STORES) {
  test(`many at once are answered so by a server over ${kind}, time limits or not`, (t) =>
    withServer(kind, async (server) => {
      const seed = seedOf(t);
      const random = createRandom(seed);
      const wires = (["gRPC", "gRPC", "Connect JSON"] as const).map((wire) =>
        openWire(wire, server),
      );
      t.after(() => wires.map((wire) => wire.close()));
      const callers = wires.map((wire) =>
        callServer(wire.client(SessionService), () => (random(10) === 0 ? 1 + random(4) : 20_000)),
      );
      let overlapping = 0;
      for (let history = 0; history < SERVED_HISTORIES; history += 10) {
        overlapping += await checkHistories(seed, {
          ...{ callers, random, sessions: 10, calls: 30, workers: 5 },
          pause: () => (random(5) === 0 ? wait(1) : Promise.resolve()),
        });
      }
      assert.ok(overlapping > SERVED_HISTORIES * 5, `only ${overlapping} calls overlapped`);
    }));
}
