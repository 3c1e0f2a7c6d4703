import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { LatchkeyError } from "../../../src/domain/error.js";
import type { SessionStore } from "../../../src/domain/sessions/session-store.js";
import { createSessions, type Sessions } from "../../../src/services/sessions/sessions.js";
import {
  mostCommands,
  NOW,
  type OpenedStore,
  type OpenStore,
  runs,
  SECOND,
  SHRINKS,
  sweepAll,
  withStore,
} from "../../support/stores/fixture.js";
import { type Answer, createLives, type Operation, POLICIES } from "./lives-model.js";

/** The message of a fault that a test makes, where a store has no error of its own for it. */
export const INJECTED = "injected";

/** Which token a step means: an old one or the newest, of any session. */
const token = fc.nat(999);
const app = fc.constantFrom("shop", "blog", "club");
const userId = fc.constantFrom("ann", "bob");
const seconds = fc.integer({ min: 10, max: 60 });
/** Few, so that they meet again, with the same body or another. */
const requestId = fc.option(
  fc.nat(5).map((id) => `request-number-${id}`),
  { nil: undefined, freq: 3 },
);
/** As a difference from the session's; undefined: none is expected. */
const version = fc.option(fc.constantFrom(0, 0, 1), { nil: undefined });

const write = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("create" as const),
      app,
      userId,
      idleTtl: seconds,
      requestId,
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("rotate" as const),
      token,
      grace: fc.nat(20),
      assumeReceived: fc.boolean(),
      version,
      requestId,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("update" as const),
      token,
      data: fc.dictionary(fc.constantFrom("a", "b"), fc.nat(3), { minKeys: 1 }),
      version,
      requestId,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("extend" as const),
      token,
      idleTtl: seconds,
      requestId,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("delete" as const),
      token,
      allowMissing: fc.boolean(),
      requestId,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("deleteUser" as const),
      app,
      userId,
      keep: fc.option(token, { nil: undefined }),
      allowMissing: fc.boolean(),
      requestId,
    }),
  },
);
type Write = typeof write extends fc.Arbitrary<infer T> ? T : never;

const step = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      do: fc.constant("writes" as const),
      // Those after the first come in the same turn.
      writes: fc.oneof(
        { weight: 3, arbitrary: fc.array(write, { minLength: 1, maxLength: 1 }) },
        { weight: 1, arbitrary: fc.array(write, { minLength: 2, maxLength: 6 }) },
        // The same at once, or again.
        {
          weight: 1,
          arbitrary: fc.tuple(write, fc.integer({ min: 2, max: 4 })).map(([one, times]) => {
            return Array.from({ length: times }, () => one);
          }),
        },
      ),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("repeat" as const), pick: fc.nat(99) }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      token,
      how: fc.constantFrom("peek" as const, "touch" as const, "batch" as const),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("pass" as const),
      seconds: fc.oneof(
        { weight: 9, arbitrary: fc.nat(15) },
        { weight: 1, arbitrary: fc.constant(24 * 60 * 60) },
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("sweep" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/**
 * Any life of sessions (live, rotated, in grace, ended, expired, evicted) over any store: every use
 * of any token that ever was, and every repeated request, is answered as the model answers it.
 */
export function modelledLives(open: OpenStore): Promise<void> {
  const steps = fc.array(step, { minLength: 1, maxLength: mostCommands(80), size: "max" });
  const property = fc.asyncProperty(fc.limitShrink(steps, SHRINKS), (all) =>
    withStore(open, async (opened) => {
      const drive = createDriver(opened);
      await drive.setPolicies();
      for (const one of all) await drive.run(one);
      await drive.useAllTokens();
    }),
  );
  return fc.assert(property, { numRuns: runs(40) });
}

/** Steps that a disk which waits to be told what to do can follow. */
export const plainSteps = step.filter(({ do: what }) => what !== "sweep" && what !== "reopen");

/**
 * Drives the use cases over a store, and a model of them. `work` lets the store's disk
 * do, or fail to do, what was asked of it.
 */
export function createDriver(
  { store: first, reopen }: Pick<OpenedStore, "store" | "reopen">,
  work: () => Promise<void> = async () => {},
) {
  const lives = createLives();
  const repeatable: Operation[] = [];
  let now = NOW;
  let ids = 0;
  let draws = 0;
  const serve = (store: SessionStore) =>
    createSessions({
      store,
      now: () => now,
      randomBytes: (size) => {
        const seed = createHash("shake256", { outputLength: size });
        return seed.update(`${draws++}`).digest();
      },
      newSessionId: () => `019b0000-0000-7000-8000-${(++ids).toString(16).padStart(12, "0")}`,
      logger: { warn: () => {} },
    });
  let store = first;
  let sessions = serve(store);

  const picked = (index: number): string => {
    const tokens = lives.tokens();
    return tokens[index % tokens.length] ?? "T0ken".padEnd(64, "x");
  };

  const toOperation = (one: Write): Operation => {
    const { requestId: id, ...rest } = one;
    const common = id === undefined ? {} : { requestId: id };
    if (rest.do === "create") return { ...rest, ...common };
    if (rest.do === "deleteUser") {
      const { keep, ...others } = rest;
      return { ...others, ...common, ...(keep === undefined ? {} : { keep: picked(keep) }) };
    }
    const named = picked(rest.token);
    const session = lives.of(named);
    const asked = { ...rest, ...common, token: named, app: session?.app ?? "shop" };
    if (!("version" in asked)) return asked;
    const { version: off, ...others } = asked;
    if (off === undefined) return others;
    return { ...others, expectedVersion: (session?.version ?? 1) + off };
  };

  /** Makes the calls in one turn and compares their answers, in the order of the calls. */
  const make = async (operations: readonly Operation[]) => {
    const at = now;
    const calls = operations.map((operation) => answerOf(() => call(sessions, operation)));
    await work();
    const answers = await Promise.all(calls);
    for (const [index, operation] of operations.entries()) {
      const answer = answers[index] ?? assert.fail();
      if ("code" in answer && answer.code === "unavailable") continue;
      const made = {
        token: "token" in answer ? (answer.token ?? "") : "",
        sessionId: "session" in answer ? (answer.session?.id ?? "") : "",
      };
      const expected = lives.answer(operation, at, made);
      assert.deepEqual(answer, expected, JSON.stringify(operation));
    }
  };

  const read = async (index: number, how: "peek" | "touch" | "batch") => {
    const named = picked(index);
    const operation = { app: lives.of(named)?.app ?? "shop", token: named };
    if (how !== "batch") return make([{ ...operation, do: how }]);
    const batch = answerOf(async () => {
      const [result] = await sessions.batch(
        { app: operation.app, tokens: [named], peek: false },
        (one) => one,
      );
      assert.ok(result);
      if (result instanceof LatchkeyError) throw result;
      return { session: result };
    });
    await work();
    const answer = await batch;
    if ("code" in answer && answer.code === "unavailable") return;
    const made = { token: "", sessionId: "" };
    assert.deepEqual(answer, lives.answer({ ...operation, do: "touch" }, now, made));
  };

  return {
    /** Gives the apps their policies; to be called first. */
    async setPolicies(): Promise<void> {
      const set = Object.entries(POLICIES).map(([name, policy]) => store.setPolicy(name, policy));
      await work();
      await Promise.all(set);
    },

    async run(one: Step): Promise<void> {
      switch (one.do) {
        case "writes": {
          const operations = one.writes.map(toOperation);
          repeatable.push(...operations.filter(({ requestId: id }) => id !== undefined));
          return make(operations);
        }
        case "repeat": {
          const operation = repeatable[one.pick % repeatable.length];
          return operation && make([operation]);
        }
        case "read":
          return read(one.token, one.how);
        case "pass":
          now += one.seconds * SECOND;
          return;
        case "sweep":
          return sweepAll(store, now);
        case "reopen":
          if (!reopen) return;
          store = await reopen();
          sessions = serve(store);
          return;
      }
    },

    async useAllTokens(): Promise<void> {
      for (const named of lives.tokens().toReversed()) {
        const { app: name = "shop" } = lives.of(named) ?? {};
        await make([{ do: "peek", app: name, token: named }]);
      }
    },
  };
}

async function call(sessions: Sessions, operation: Operation): Promise<Answer> {
  const { app: name } = operation;
  switch (operation.do) {
    case "create":
      return sessions.create(operation);
    case "rotate":
      return sessions.rotate(operation);
    case "update":
      return { session: (await sessions.update(operation)).after };
    case "extend":
      return { session: await sessions.extend(operation) };
    case "delete": {
      const { token: named, allowMissing, requestId: id } = operation;
      await sessions.delete(name, { token: named }, options(allowMissing, id));
      return {};
    }
    case "deleteUser": {
      const { userId: user, keep, allowMissing, requestId: id } = operation;
      const kept = keep === undefined ? undefined : { token: keep };
      const count = await sessions.deleteUser(name, user, kept, options(allowMissing, id));
      return { count };
    }
    case "touch":
      return { session: (await sessions.touch(name, operation.token)).after };
    case "peek":
      return { session: await sessions.peek(name, operation.token) };
  }
}

const options = (allowMissing: boolean, id: string | undefined) => ({
  allowMissing,
  ...(id === undefined ? {} : { requestId: id }),
});

async function answerOf(make: () => Answer | Promise<Answer>): Promise<Answer> {
  try {
    return await make();
  } catch (error) {
    // What a disk that fails is to blame for changed nothing, and the model with it.
    if (error instanceof Error && error.message === INJECTED) {
      return { code: "unavailable", theft: null };
    }
    if (!(error instanceof LatchkeyError)) throw error;
    return { code: error.code, theft: error.theft?.sessionId ?? null };
  }
}
