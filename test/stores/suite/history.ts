import assert from "node:assert/strict";
import fc from "fast-check";
import { LatchkeyError } from "../../../src/domain/error.js";
import { type AppPolicy, NO_POLICY } from "../../../src/domain/sessions/app-policy.js";
import { expiresAt, isLive, type Session, touched } from "../../../src/domain/sessions/session.js";
import {
  createMint,
  hasCode,
  listPages,
  type Minted,
  mostCommands,
  NOW,
  type OpenedStore,
  type OpenStore,
  runs,
  SHRINKS,
  setKey,
  withStore,
} from "../../support/stores/fixture.js";
import { APPS, type Command, histories, type Limits, type Pick, USERS } from "./commands.js";
import * as models from "./model.js";

/** Any history of operations: the store answers as the model does, to each and at the end. */
export function modelledHistory(open: OpenStore): Promise<void> {
  const property = fc.asyncProperty(
    fc.limitShrink(histories(mostCommands(150)), SHRINKS),
    (commands) =>
      withStore(open, async (opened) => {
        const history = createHistory(opened);
        for (const command of commands) await history.run(command);
        await history.checkAll();
      }),
  );
  return fc.assert(property, { numRuns: runs(25) });
}

/** Drives a store and a model of it with the same operations. */
function createHistory({ store: first, seen, reopen }: OpenedStore) {
  const mint = createMint();
  const minted: Minted[] = [];
  let store = first;
  let model: models.Model = [];
  let now = NOW;

  const policies = new Map<string, AppPolicy>();

  const policyOf = (app: string): AppPolicy => policies.get(app) ?? NO_POLICY;

  const named = ({ pick, by, strayApp }: Pick) => {
    // Before the first creation, and of none at all, a session that never was.
    const { session, tokenHash } = minted[pick % minted.length] ?? mint();
    const key = by === "token" ? { tokenHash } : { id: session.id };
    return { app: strayApp ?? session.app, tokenHash, key, byToken: { tokenHash } };
  };

  const adopt = <T>({ model: next, answer }: models.Outcome<T>): T => {
    model = next;
    return answer;
  };

  const update = async (of: Pick, change: (session: Session) => Session) => {
    const { app, tokenHash, byToken } = named(of);
    const answer = await store.update(app, tokenHash, now, change);
    assert.deepEqual(answer, adopt(models.change(model, app, byToken, now, change)));
  };

  const accessed = (session: Session): Session => ({
    ...session,
    lastAccessedAt: touched(session, now).lastAccessedAt,
  });

  const extended =
    ({ idleTtl, absoluteTtl }: Limits) =>
    (session: Session): Session => ({
      ...accessed(session),
      idleTtl: idleTtl ?? session.idleTtl,
      absoluteExpiresAt: absoluteTtl === null ? session.absoluteExpiresAt : now + absoluteTtl,
      version: session.version + 1,
    });

  const create = async (app: string, userId: string, { idleTtl, absoluteTtl }: Limits) => {
    const made = mint({
      app,
      userId,
      createdAt: now,
      data: {},
      idleTtl: idleTtl ?? 60,
      absoluteExpiresAt: absoluteTtl === null ? null : now + absoluteTtl,
    });
    const creation = store.create(made.session, made.tokenHash);
    if (adopt(models.create(model, made, policyOf(app)))) {
      await creation;
      minted.push(made);
    } else {
      await assert.rejects(creation, hasCode("limit"));
    }
  };

  /** Refused if the session lives; what an expired one still takes is the store's affair. */
  const createTaken = async (of: Pick) => {
    const { app, tokenHash, key } = named(of);
    const taken = models.find(model, app, key, now);
    const fresh = mint();
    // A cap may refuse it first, or end the one that it is taken by.
    if (!taken || policyOf(fresh.session.app).maxSessionsPerUser > 0) return;
    const creation =
      of.by === "token"
        ? store.create(fresh.session, tokenHash)
        : store.create({ ...fresh.session, id: taken.session.id }, fresh.tokenHash);
    await assert.rejects(creation, hasCode("exists"));
    assert.equal(await store.peek("shop", fresh.tokenHash, now), null);
  };

  const list = async (command: Extract<Command, { do: "list" }>) => {
    const { limit, maxBytes, activeWithin } = command;
    const app = APPS[command.app] ?? "";
    const userId = command.user === null ? {} : { userId: USERS[command.user] ?? "" };
    const scope = { ...userId, activeSince: activeWithin === null ? 0 : now - activeWithin };
    const pages = await listPages(store, app, now, { ...scope, limit, maxBytes });
    assert.deepEqual(
      pages.flatMap(({ sessions }) => sessions),
      models.live(model, { app, ...scope }, now),
    );
    for (const { sessions } of pages) {
      assert.ok(sessions.length <= limit);
      const bytes = sessions.slice(0, -1).map(({ data }) => JSON.stringify(data).length);
      assert.ok(bytes.reduce((sum, size) => sum + size, 0) <= maxBytes);
    }
  };

  const sweep = async (limit: number) => {
    const held = store.stats().sessions;
    const told = seen.sweeps.length;
    await store.sweep(now, limit);
    const swept = held - store.stats().sessions;
    assert.ok(swept >= 0 && swept <= limit);
    assert.deepEqual(seen.sweeps.slice(told), swept === 0 ? [] : [swept]);
  };

  /** Touches and updates in one turn: in whatever order, all of them count. */
  const together = async (of: readonly Pick[]) => {
    const targets = of.map((one, index) => ({ ...named(one), index }));
    const answers = await Promise.all(
      targets.map(({ app, tokenHash, index }) =>
        index % 2 === 0
          ? store.touch(app, tokenHash, now)
          : store.update(app, tokenHash, now, setKey(`together${index}`, index)),
      ),
    );
    for (const { app, byToken, index } of targets) {
      const expected = adopt(
        index % 2 === 0
          ? models.touch(model, app, byToken, now, policyOf(app))
          : models.change(model, app, byToken, now, setKey(`together${index}`, index)),
      );
      assert.equal(answers[index] === null, expected === null);
    }
  };

  /** Not back to where an expired session would live again: it may be swept. */
  const moveClock = (ms: number) => {
    const dead = model.filter(({ session }) => !isLive(session, now));
    now = Math.max(now + ms, ...dead.map(({ session }) => expiresAt(session)));
  };

  const perform = async (command: Command): Promise<void> => {
    switch (command.do) {
      case "create":
        return create(APPS[command.app] ?? "", USERS[command.user] ?? "", command.limits);
      case "setPolicy": {
        const app = APPS[command.app] ?? "";
        await store.setPolicy(app, command.policy);
        policies.set(app, command.policy);
        return;
      }
      case "createTaken":
        return createTaken(command.of);
      case "peek": {
        const { app, tokenHash, byToken } = named(command.of);
        const expected = models.find(model, app, byToken, now)?.session ?? null;
        assert.deepEqual(await store.peek(app, tokenHash, now), expected);
        return;
      }
      case "touch": {
        const { app, tokenHash, byToken } = named(command.of);
        const answer = await store.touch(app, tokenHash, now);
        assert.deepEqual(answer, adopt(models.touch(model, app, byToken, now, policyOf(app))));
        return;
      }
      case "update":
        return update(command.of, (session) => ({
          ...accessed(session),
          data: Object.fromEntries([...Object.entries(session.data), [command.key, command.value]]),
          writes: session.writes + 1,
          version: session.version + 1,
        }));
      case "extend":
        return update(command.of, extended(command.limits));
      case "refuse": {
        const { app, tokenHash, byToken } = named(command.of);
        const refusal = new LatchkeyError("limit", "refused");
        const answer = store.update(app, tokenHash, now, () => {
          throw refusal;
        });
        if (models.find(model, app, byToken, now)) {
          await assert.rejects(answer, (error) => error === refusal);
        } else {
          assert.equal(await answer, null);
        }
        return;
      }
      case "delete": {
        const { app, key } = named(command.of);
        assert.equal(await store.delete(app, key, now), adopt(models.end(model, app, key, now)));
        return;
      }
      case "deleteUser": {
        const app = APPS[command.app] ?? "";
        const userId = USERS[command.user] ?? "";
        const keep = command.keep ? named(command.keep).key : undefined;
        assert.equal(
          await store.deleteUser(app, userId, now, keep),
          adopt(models.endAll(model, { app, userId }, now, keep)),
        );
        return;
      }
      case "deleteApp": {
        const app = APPS[command.app] ?? "";
        const ended = await store.deleteApp(app, now);
        assert.equal(ended, adopt(models.endAll(model, { app }, now)));
        return;
      }
      case "list":
        return list(command);
      case "count": {
        const app = APPS[command.app] ?? "";
        const since = now - command.activeWithin;
        assert.equal(
          await store.countActiveUsers(app, since, now),
          models.countActiveUsers(model, app, since, now),
        );
        return;
      }
      case "sweep":
        return sweep(command.limit);
      case "together":
        return together(command.of);
      case "moveClock":
        return moveClock(command.ms);
      case "reopen":
        if (reopen) store = await reopen();
        return;
    }
  };

  return {
    async run(command: Command): Promise<void> {
      await perform(command);
      const { sessions } = store.stats();
      assert.ok(sessions >= model.filter(({ session }) => isLive(session, now)).length);
      assert.ok(sessions <= model.length);
    },

    /** Asks for every session ever made, and every app's policy. */
    async checkAll(): Promise<void> {
      for (const app of APPS) assert.deepEqual(store.policy(app), policyOf(app));
      for (const { session, tokenHash } of minted) {
        const expected = models.find(model, session.app, { tokenHash }, now)?.session ?? null;
        assert.deepEqual(await store.peek(session.app, tokenHash, now), expected);
      }
    },
  };
}
