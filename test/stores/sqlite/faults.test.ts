import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import fc from "fast-check";
import { type AppPolicy, NO_POLICY } from "../../../src/domain/sessions/app-policy.js";
import { expiresAt, isLive, type Session, touched } from "../../../src/domain/sessions/session.js";
import type { SessionEvent } from "../../../src/domain/sessions/session-event.js";
import type { SessionKey, SessionStore } from "../../../src/domain/sessions/session-store.js";
import type { TokenHash } from "../../../src/domain/token.js";
import { createDatabase, type DatabaseTrial } from "../../support/stores/database.js";
import {
  createFaultyDisk,
  FAULTS,
  type FaultyDisk,
  turns,
} from "../../support/stores/faulty-disk.js";
import {
  createMint,
  listAll,
  type Minted,
  NOW,
  runs,
  SECOND,
  SHRINKS,
  withStore,
} from "../../support/stores/fixture.js";
import * as models from "../suite/model.js";

/** The app that caps its users' sessions. The oldest give way: who is touched when is no matter. */
const CAPPED = "capped";
const CAP: AppPolicy = { ...NO_POLICY, maxSessionsPerUser: 2, atLimit: "evict_oldest" };

const APPS = ["shop", "blog", CAPPED];
const WATCHED = "shop";
const USERS = ["ann", "bob"];

/** The shortest life (ms) that a session is given; the clock moves by less in one burst. */
const LIFE = 30;

const app = fc.constantFrom(...APPS);
const user = fc.constantFrom(...USERS);
const pick = fc.nat(999);
const life = fc.integer({ min: LIFE, max: 2 * LIFE });
const fault = fc.option(fc.constantFrom(...FAULTS), { freq: 2 });
const by = fc.constantFrom("token" as const, "id" as const);

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("create" as const), app, user, life }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("createTaken" as const), pick, by }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("touch" as const), pick }) },
  {
    weight: 10,
    arbitrary: fc.record({ do: fc.constant("update" as const), pick, life: fc.option(life) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("delete" as const), pick, by }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("deleteUser" as const),
      app,
      user,
      keep: fc.option(pick),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("deleteApp" as const), app }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("sweep" as const),
      limit: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("count" as const), app, within: fc.nat(LIFE) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("moveClock" as const), ms: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("writeTouches" as const) }) },
  // Seldom, for only many calls of one turn make up batches that follow each other at once.
  { weight: 3, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("perform" as const),
      batches: fc.integer({ min: 1, max: 3 }),
      fault,
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("answer" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Calls that overlap, with what the disk does meanwhile; then all are answered, and time passes. */
const burst = fc.record({
  steps: fc.array(step, { maxLength: 60, size: "max" }),
  faults: fc.array(fault, { maxLength: 4 }),
  pause: fc.nat(2 * LIFE),
});
type Burst = typeof burst extends fc.Arbitrary<infer T> ? T : never;

/** A call of the present burst. Writes are carried out in the order of the calls. */
interface Call {
  readonly outcome: { status: "open" | "fulfilled" | "rejected"; answer: unknown };
  /** What a fulfilled call makes of the model, and what it must answer; undefined: anything. */
  readonly apply: (model: models.Model) => models.Outcome<unknown>;
  /** Whether the call may end this session. */
  readonly ends?: (minted: Minted) => boolean;
  readonly creates?: Minted;
  /** It must fail. */
  readonly isTaken?: boolean;
  readonly updates?: { readonly minted: Minted; readonly key: string };
}

/** Drives a store and a model of it. */
function createHistory(trial: DatabaseTrial, disk: FaultyDisk, passSecond: () => void) {
  const mint = createMint();
  const minted: Minted[] = [];
  let { store } = trial;
  let now = NOW;
  /** The sessions at the start of the burst, all calls before it being answered. */
  let model: models.Model = [];
  let horizon = NOW + LIFE;
  let calls: Call[] = [];
  let counts: Promise<void>[] = [];
  let touches = new Map<Minted, { times: number; at: number }>();
  /** Tokens that a second creation claims: until it is refused they may show its session. */
  let contested = new Set<TokenHash>();
  let keys = 0;
  let faultsBefore = 0;
  const told: SessionEvent[] = [];
  const listen = ({ events }: SessionStore) =>
    events.listen({ happened: (some) => told.push(...some), wantsTouches: () => true });

  const named = (index: number): Minted => minted[index % minted.length] ?? mint();

  const keyOf = ({ session, tokenHash }: Minted, by: "token" | "id"): SessionKey =>
    by === "token" ? { tokenHash } : { id: session.id };

  const atStart = ({ session: { id }, tokenHash }: Minted): Session | undefined =>
    model.find(
      (one) => one.session.id === id && one.tokenHash === tokenHash && isLive(one.session, now),
    )?.session;

  const isEnding = (one: Minted) => calls.some(({ ends }) => ends?.(one));

  const note = (promise: Promise<unknown>, apply: Call["apply"], rest: Partial<Call> = {}) => {
    const outcome: Call["outcome"] = { status: "open", answer: undefined };
    promise.then(
      (answer) => Object.assign(outcome, { status: "fulfilled", answer }),
      () => Object.assign(outcome, { status: "rejected" }),
    );
    calls.push({ ...rest, outcome, apply });
  };

  const create = (one: Minted) => {
    const { app: name, userId } = one.session;
    const policy = name === CAPPED ? CAP : NO_POLICY;
    const apply = (before: models.Model) => ({
      model: models.create(before, one, policy).model,
      answer: undefined,
    });
    // Its answer does not tell whether it ended one.
    const created = store.create(one.session, one.tokenHash).then(() => undefined);
    note(created, apply, {
      creates: one,
      ends: (other) =>
        name === CAPPED &&
        other !== one &&
        other.session.app === name &&
        other.session.userId === userId,
    });
  };

  const createTaken = (taken: Minted, by: "token" | "id") => {
    // Not once it may be free again: a name means one session throughout.
    if (!atStart(taken) || isEnding(taken)) return;
    const { session, tokenHash } = mint({ createdAt: now, data: {}, idleTtl: LIFE });
    contested.add(taken.tokenHash);
    const created =
      by === "token"
        ? store.create(session, taken.tokenHash)
        : store.create({ ...session, id: taken.session.id }, tokenHash);
    note(created, (before) => ({ model: before, answer: undefined }), { isTaken: true });
  };

  const touch = (one: Minted) => {
    const { app: name, id } = one.session;
    const at = now;
    // Nobody knows the token of a session whose creation is not answered.
    if (!atStart(one) || contested.has(one.tokenHash)) return;
    if (store.touch(name, one.tokenHash, at) === null) {
      assert.ok(isEnding(one), "a session that nothing ends is there to be touched");
      return;
    }
    touches.set(one, { times: (touches.get(one)?.times ?? 0) + 1, at });
    note(Promise.resolve(), (before) => ({
      model: models.touch(before, name, { id }, at).model,
      answer: undefined,
    }));
  };

  const update = (one: Minted, idleTtl: number | null) => {
    const at = now;
    const key = `key${keys++}`;
    const change = (session: Session): Session => ({
      ...session,
      data: { ...session.data, [key]: 1 },
      idleTtl: idleTtl ?? session.idleTtl,
      writes: session.writes + 1,
      version: session.version + 1,
      lastAccessedAt: touched(session, at).lastAccessedAt,
    });
    const { app: name } = one.session;
    const { tokenHash } = one;
    // How often it was read by then depends on when it is carried out.
    const isFound = store.update(name, tokenHash, at, change).then((answer) => answer !== null);
    const apply = (before: models.Model) => {
      const { model: after, answer } = models.change(before, name, { tokenHash }, at, change);
      return { model: after, answer: answer !== null };
    };
    note(isFound, apply, { updates: { minted: one, key } });
  };

  const remove = (one: Minted, by: "token" | "id") => {
    const at = now;
    const { app: name } = one.session;
    const key = keyOf(one, by);
    note(store.delete(name, key, at), (before) => models.end(before, name, key, at), {
      ends: ({ session, tokenHash }) =>
        "id" in key ? session.id === key.id : tokenHash === key.tokenHash,
    });
  };

  const removeUser = (name: string, userId: string, kept: Minted | null) => {
    const at = now;
    const keep = kept ? keyOf(kept, kept.session.userId === "ann" ? "token" : "id") : undefined;
    const apply = (before: models.Model) => models.endAll(before, { app: name, userId }, at, keep);
    note(store.deleteUser(name, userId, at, keep), apply, {
      ends: (one) => one !== kept && one.session.app === name && one.session.userId === userId,
    });
  };

  const removeApp = (name: string) => {
    const at = now;
    // It may or may not end what is being created.
    const isCreating = calls.some(
      ({ creates, outcome }) => creates?.session.app === name && outcome.status === "open",
    );
    if (isCreating) return;
    const apply = (before: models.Model) => models.endAll(before, { app: name }, at);
    note(store.deleteApp(name, at), apply, {
      ends: ({ session }) => session.app === name,
    });
  };

  /** At least the users whose sessions are there throughout. */
  const count = (name: string, since: number) => {
    const active = minted.filter((one) => {
      const last = Math.max(atStart(one)?.lastAccessedAt ?? 0, touches.get(one)?.at ?? 0);
      return one.session.app === name && atStart(one) && last >= since;
    });
    const counted = store.countActiveUsers(name, since, now).then(
      (answer) => {
        const sure = active.filter((one) => !isEnding(one) && !contested.has(one.tokenHash));
        const users = new Set(sure.map(({ session }) => session.userId));
        assert.ok(answer >= users.size, "a count misses a user that is active throughout");
      },
      () => undefined,
    );
    // Judged when the burst is over, and not as a rejection that nobody handles.
    counted.catch(() => undefined);
    counts.push(counted);
  };

  const perform = async (step: Step): Promise<void> => {
    switch (step.do) {
      case "create": {
        const { app: name, user: userId, life: idleTtl } = step;
        const one = mint({ app: name, userId, idleTtl, createdAt: now, data: {} });
        minted.push(one);
        return create(one);
      }
      case "createTaken":
        return createTaken(named(step.pick), step.by);
      case "touch":
        return touch(named(step.pick));
      case "update":
        return update(named(step.pick), step.life);
      case "delete":
        return remove(named(step.pick), step.by);
      case "deleteUser":
        return removeUser(step.app, step.user, step.keep === null ? null : named(step.keep));
      case "deleteApp":
        return removeApp(step.app);
      case "sweep": {
        const swept = store.sweep(now, step.limit);
        return note(swept, (before) => ({ model: before, answer: undefined }));
      }
      case "count":
        return count(step.app, now - step.within);
      case "moveClock":
        now = Math.max(now, Math.min(now + step.ms, horizon - 1));
        return;
      case "writeTouches":
        return passSecond();
      case "turn":
        return turns(1);
      case "perform":
        return disk.perform(step.batches, step.fault);
      case "answer":
        return disk.answer();
    }
  };

  /** What a read shows of a session: all that was answered, and nothing of what was refused. */
  const checkSeen = (one: Minted, seen: Session) => {
    const before = atStart(one);
    const reads = (before?.reads ?? 1) + (touches.get(one)?.times ?? 0);
    assert.equal(seen.reads, reads, "reads");
    assert.ok(seen.lastAccessedAt >= (touches.get(one)?.at ?? 0));
    for (const key of Object.keys(before?.data ?? {})) assert.ok(key in seen.data);
    for (const { updates, outcome } of calls) {
      if (updates?.minted !== one || outcome.status === "open") continue;
      const isThere = outcome.status === "fulfilled" && outcome.answer === true;
      assert.equal(updates.key in seen.data, isThere, `an update that was ${outcome.status}`);
    }
  };

  /** Whether the session must be seen: null if calls under way decide. */
  const isThere = (one: Minted): boolean | null => {
    if (contested.has(one.tokenHash)) return null;
    const creation = calls.find(({ creates }) => creates === one)?.outcome.status;
    if (creation === "rejected" || (creation === undefined && !atStart(one))) return false;
    const ending = calls.filter(({ ends }) => ends?.(one));
    if (ending.length === 0) return creation === "open" ? null : true;
    const isEnded = ending.some(
      ({ outcome: { status, answer } }) => status === "fulfilled" && Boolean(answer),
    );
    return isEnded && creation === undefined ? false : null;
  };

  const checkMeanwhile = async () => {
    const listed = new Map<string, Session>();
    for (const name of APPS) {
      const sessions = await listAll(store, name, now, { limit: 2 });
      for (const session of sessions) {
        assert.ok(!listed.has(session.id), "a listing shows a session twice");
        listed.set(session.id, session);
      }
    }
    const created = model.map(({ session }) => session.id);
    const order = [...listed.keys()].filter((id) => created.includes(id));
    for (const name of APPS) {
      const of = (ids: string[]) => ids.filter((id) => listed.get(id)?.app === name);
      assert.deepEqual(of(order), of(created).toReversed(), "the order of a listing");
    }
    const capped = new Map<string, number>();
    for (const one of minted) {
      const { session, tokenHash } = one;
      const peeked = await store.peek(session.app, tokenHash, now);
      if (peeked?.app === CAPPED) {
        const count = (capped.get(peeked.userId) ?? 0) + 1;
        assert.ok(count <= CAP.maxSessionsPerUser, "more sessions than the cap allows");
        capped.set(peeked.userId, count);
      }
      for (const seen of [peeked, listed.get(session.id)]) {
        const must = isThere(one);
        if (must !== null) assert.equal(seen !== undefined && seen !== null, must, "existence");
        if (seen && !contested.has(tokenHash)) checkSeen(one, seen);
      }
    }
  };

  /** Adopts what was answered. */
  const settle = async () => {
    await Promise.all(counts);
    const hadFaults = disk.injected() > faultsBefore;
    for (const { outcome, apply, isTaken = false } of calls) {
      assert.notEqual(outcome.status, "open", "a call is never answered");
      if (outcome.status === "rejected") {
        assert.ok(isTaken || hadFaults, "a call is refused for nothing");
        continue;
      }
      assert.ok(!isTaken, "a taken id or token was taken again");
      const { model: after, answer } = apply(model);
      if (answer !== undefined) assert.deepEqual(outcome.answer, answer);
      model = after;
    }
    [calls, counts, touches, contested] = [[], [], new Map(), new Set()];
  };

  const check = async () => {
    for (const { session, tokenHash } of minted) {
      const expected = models.find(model, session.app, { tokenHash }, now)?.session ?? null;
      assert.deepEqual(await store.peek(session.app, tokenHash, now), expected);
    }
    for (const name of APPS) {
      const expected = models.live(model, { app: name }, now);
      assert.deepEqual(await listAll(store, name, now, { limit: 3 }), expected);
    }
    const [inFile, stated] = trial.inspect((db) => [
      db.prepare("SELECT count(*) FROM sessions").pluck().get(),
      db.prepare("SELECT sessions FROM totals").pluck().get(),
    ]);
    assert.deepEqual([store.stats().sessions, stated], [inFile, inFile]);
    checkTold();
  };

  /** What was told is what came about: all of it, in order, and nothing else. */
  const checkTold = () => {
    const changes = told.filter(({ type }) => type !== "touched");
    const first = changes[0]?.revision ?? 0;
    const sessions = new Map<string, number>();
    for (const [index, { type, revision, sessionId, version }] of changes.entries()) {
      assert.equal(revision, first + index, "revisions have no gaps");
      assert.equal(sessions.has(sessionId), type !== "created", type);
      if (type === "ended") assert.equal(sessions.get(sessionId), version);
      if (type === "ended") sessions.delete(sessionId);
      else sessions.set(sessionId, version);
    }
    const [held, logged] = trial.inspect((db) => [
      db
        .prepare(
          `SELECT lower(hex(session_id)), version FROM sessions
           WHERE app_id = (SELECT id FROM apps WHERE name = ?) ORDER BY 1`,
        )
        .raw()
        .all(WATCHED),
      db.prepare("SELECT revision FROM events ORDER BY revision").pluck().all(),
    ]);
    const followed = [...sessions].map(([id, version]) => [id.replaceAll("-", ""), version]);
    assert.deepEqual(followed.toSorted(), held);
    assert.deepEqual(
      changes.map(({ revision }) => revision),
      logged,
    );
  };

  const checkCounts = async () => {
    const since = now - LIFE / 2;
    const counted = Promise.all(APPS.map((name) => store.countActiveUsers(name, since, now)));
    await disk.drain();
    const expected = APPS.map((name) => models.countActiveUsers(model, name, since, now));
    assert.deepEqual(await counted, expected);
  };

  const begin = async (steps: readonly Step[]) => {
    faultsBefore = disk.injected();
    const deadlines = model.map(({ session }) => expiresAt(session)).filter((at) => at > now);
    horizon = Math.min(now + LIFE, ...deadlines);
    for (const step of steps) {
      await perform(step);
      await checkMeanwhile();
    }
  };

  return {
    /** Caps the sessions of one app, and watches another, from here on. */
    async prepare(): Promise<void> {
      const set = store.setPolicy(CAPPED, CAP);
      listen(store);
      const watching = store.events.watch(WATCHED, now);
      await disk.drain();
      await Promise.all([set, watching]);
    },

    async run({ steps, faults, pause }: Burst): Promise<void> {
      await begin(steps);
      await disk.drain(faults);
      await settle();
      await check();
      await checkCounts();
      now += pause;
    },

    /** Closes the store with the calls of a last burst under way, and opens it again. */
    async end({ steps }: Burst): Promise<void> {
      await begin(steps);
      const reopened = trial.reopen();
      await disk.calm();
      store = await reopened;
      listen(store);
      await settle();
      await check();
    },
  };
}

/** Any history of overlapping calls over a disk that is slow and fails. */
function faultyHistory(context: TestContext, cacheBytes: number): Promise<void> {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const passSecond = () => context.mock.timers.tick(SECOND);
  const bursts = fc.array(burst, { minLength: 1, maxLength: 5, size: "max" });
  const property = fc.asyncProperty(fc.limitShrink(bursts, SHRINKS), burst, (all, last) => {
    const disk = createFaultyDisk();
    const open = () => createDatabase({ openWriter: disk.openWriter, cacheBytes });
    return withStore(open, async (trial) => {
      const history = createHistory(trial, disk, passSecond);
      try {
        await history.prepare();
        for (const one of all) await history.run(one);
        await history.end(last);
      } finally {
        await disk.calm();
      }
    });
  });
  return fc.assert(property, { numRuns: runs(60) });
}

describe("a SQLite store whose disk is slow and fails", () => {
  const title = "answers truly, and leaves nothing of what it refused";
  test(title, (context) => faultyHistory(context, 1_000_000));
  test(`${title}, without a cache`, (context) => faultyHistory(context, 1));
});
