import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { Code } from "@connectrpc/connect";
import {
  type Added,
  assertRefused,
  type Case,
  NOT_FOUND,
  plain,
  seconds,
  type Trial,
} from "../../support/transports/case.js";
import { MINUTE, SECOND } from "../../support/transports/server.js";

const EXISTS = { code: Code.AlreadyExists, reason: "EXISTS" };
const HOUR = 60 * MINUTE;

/** What every write is, and another of the same RPC. */
interface Write {
  send(trial: Trial, added: Added, requestId: string): Promise<unknown>;
  other(trial: Trial, added: Added, requestId: string): Promise<unknown>;
}

const byToken = (value: string) => ({ case: "token" as const, value });

const WRITES: Readonly<Record<string, Write>> = {
  CreateSession: {
    send: ({ client, app }, _, requestId) =>
      client.createSession({ app, userId: "bob", data: { a: { b: 1, c: [2] } }, requestId }),
    other: ({ client, app }, _, requestId) =>
      client.createSession({ app, userId: "bob", data: { a: { b: 1, c: [3] } }, requestId }),
  },
  UpdateSession: {
    send: ({ client, app }, { token }, requestId) =>
      client.updateSession({ app, token, data: { b: 1, a: 2 }, requestId }),
    other: ({ client, app }, { token }, requestId) =>
      client.updateSession({ app, token, data: { b: 1 }, requestId }),
  },
  ExtendSession: {
    send: ({ client, app }, { token }, requestId) =>
      client.extendSession({ app, token, idleTtl: seconds(999), requestId }),
    other: ({ client, app }, { token }, requestId) =>
      client.extendSession({ app, token, absoluteTtl: seconds(999), requestId }),
  },
  RotateToken: {
    send: ({ client, app }, { token }, requestId) => client.rotateToken({ app, token, requestId }),
    other: ({ client, app }, { token }, requestId) =>
      client.rotateToken({ app, token, grace: seconds(1), requestId }),
  },
  DeleteSession: {
    send: ({ client, app }, { token }, requestId) =>
      client.deleteSession({ app, target: byToken(token), requestId }),
    other: ({ client, app }, { session }, requestId) =>
      client.deleteSession({
        app,
        target: { case: "sessionId", value: session.sessionId },
        requestId,
      }),
  },
  DeleteUserSessions: {
    send: ({ client, app }, _, requestId) =>
      client.deleteUserSessions({ app, userId: "ann", requestId }),
    other: ({ client, app }, _, requestId) =>
      client.deleteUserSessions({ app, userId: "bob", requestId }),
  },
};

const everySession = async ({ client, app }: Trial) => {
  const { sessions } = await client.listSessions({ app });
  return sessions.map(plain);
};

export const repeating: readonly Case[] = [
  ...Object.entries(WRITES).flatMap(([rpc, { send, other }]): Case[] => [
    {
      title: `${rpc} with the same request_id gives the same answer and does nothing again`,
      async holds(trial) {
        const added = await trial.add();
        const id = randomUUID();
        const answer = await send(trial, added, id);
        const sessions = await everySession(trial);
        trial.clock.advance(MINUTE);
        assert.deepEqual(await send(trial, added, id), answer);
        assert.deepEqual(await everySession(trial), sessions);
      },
    },
    {
      title: `${rpc} sent twenty times at once with one request_id is carried out once`,
      async holds(trial) {
        const added = await trial.add();
        const id = randomUUID();
        const sends = Array.from({ length: 20 }, () => send(trial, added, id));
        const [first, ...rest] = await Promise.all(sends);
        for (const one of rest) assert.deepEqual(one, first);
        for (const { version, writes } of await everySession(trial)) {
          assert.ok(version <= 2 && writes <= 2);
        }
        assert.ok((await everySession(trial)).length <= 2);
      },
    },
    {
      title: `${rpc} with the request_id of another request is refused`,
      async holds(trial) {
        const added = await trial.add();
        const id = randomUUID();
        await send(trial, added, id);
        const sessions = await everySession(trial);
        await assertRefused(other(trial, added, id), EXISTS);
        assert.deepEqual(await everySession(trial), sessions);
      },
    },
  ]),
  {
    title: "DeleteAppSessions with one request_id, together and again, gives one answer",
    async holds(trial) {
      const { client, app } = trial;
      const requestId = randomUUID();
      for (let count = 0; count < 3; count++) await trial.add();
      const end = () => client.deleteAppSessions({ app, requestId });
      const answers = await Promise.all([end(), end(), end()]);
      const { token } = await trial.add();
      answers.push(await end());
      assert.deepEqual(
        answers.map(({ deletedCount }) => deletedCount),
        [3n, 3n, 3n, 3n],
      );
      await client.getSession({ app, token });
    },
  },
  {
    title:
      "a token that a repeated creation answers opens the session, and is not its request_id's alone",
    async holds({ client, app }) {
      const requestId = randomUUID();
      const request = { app, userId: "bob", requestId };
      const first = await client.createSession(request);
      const again = await client.createSession(request);
      assert.match(first.token, /^[A-Za-z0-9]{64}$/);
      assert.equal(again.token, first.token);
      await client.getSession({ app, token: again.token });
      const elsewhere = await client.createSession({ ...request, app: `${app}-2` });
      assert.notEqual(elsewhere.token, first.token);
    },
  },
  {
    title: "keys of data may come in another order when a request is repeated",
    async holds({ client, app, add }) {
      const { token } = await add();
      const requestId = randomUUID();
      const first = { a: 1, b: { c: 2, d: [{ e: 3, f: 4 }] } };
      const again = { b: { d: [{ f: 4, e: 3 }], c: 2 }, a: 1 };
      await client.updateSession({ app, token, requestId, data: first });
      const { session } = await client.updateSession({ app, token, requestId, data: again });
      assert.equal(session?.version, 2n);
    },
  },
  {
    title: "a request that failed is tried again",
    async holds({ client, app, add }) {
      const { token } = await add();
      const requestId = randomUUID();
      const request = { app, token, requestId, data: { a: 1 }, expectedVersion: 2n };
      await assert.rejects(client.updateSession(request));
      await client.updateSession({ app, token, data: { b: 1 } });
      const { session } = await client.updateSession(request);
      assert.equal(session?.version, 3n);
    },
  },
  {
    title: "RPCs and apps do not share request ids",
    async holds(trial) {
      const requestId = randomUUID();
      const added = await trial.add();
      for (const { send } of Object.values(WRITES)) await send(trial, added, requestId);
      const elsewhere = { ...trial, app: `${trial.app}-2` };
      await WRITES["CreateSession"]?.other(elsewhere, added, requestId);
    },
  },
  {
    title: "an answer is given again for 24 hours",
    async holds({ client, app, clock }) {
      const request = { app, userId: "bob", requestId: randomUUID() };
      const first = await client.createSession(request);
      clock.advance(24 * HOUR - 1);
      const again = await client.createSession(request);
      assert.equal(again.token, first.token);
      clock.advance(1);
      const anew = await client.createSession(request);
      assert.notEqual(anew.token, first.token);
      assert.notEqual(anew.session?.sessionId, first.session?.sessionId);
    },
  },
  {
    title: "a repeated rotation is answered also when its token has become an old one",
    async holds({ client, app, add, clock }) {
      const { token: old } = await add();
      const request = { app, token: old, requestId: randomUUID() };
      const { token } = await client.rotateToken(request);
      clock.advance(31 * SECOND);
      assert.equal((await client.rotateToken(request)).token, token);
      await client.getSession({ app, token });
      await assertRefused(client.getSession({ app, token: old }), NOT_FOUND);
    },
  },
  {
    title: "a deletion that found nothing, and was to allow for it, is remembered too",
    async holds({ client, app, add }) {
      const { session } = await add();
      const requestId = randomUUID();
      const keep = { case: "keepSessionId" as const, value: randomUUID() };
      const request = { app, userId: "ann", keep, allowMissing: true, requestId };
      assert.equal((await client.deleteUserSessions(request)).deletedCount, 1n);
      assert.equal((await client.deleteUserSessions(request)).deletedCount, 1n);
      const target = { case: "sessionId" as const, value: session.sessionId };
      await client.deleteSession({ app, target, allowMissing: true, requestId });
      await assertRefused(client.deleteSession({ app, target, requestId }), EXISTS);
    },
  },
];
