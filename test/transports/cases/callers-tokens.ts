import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { Code } from "@connectrpc/connect";
import {
  assertRefused,
  type Case,
  NOT_FOUND,
  plain,
  type Refusal,
  seconds,
  type Trial,
} from "../../support/transports/case.js";

const EXISTS: Refusal = { code: Code.AlreadyExists, reason: "EXISTS" };
const FORBIDDEN: Refusal = { code: Code.PermissionDenied, reason: "FORBIDDEN" };

/** Tokens as frameworks make them: scs, express-session, Django, and the shortest and longest. */
const makeTokens = (): string[] => [
  randomBytes(32).toString("base64url"),
  randomBytes(24).toString("base64url"),
  randomBytes(16).toString("hex"),
  randomBytes(16).toString("base64url"),
  randomBytes(192).toString("base64url"),
];
const makeToken = () => randomBytes(24).toString("base64url");

const allow = ({ client, app }: Trial) =>
  client.setAppPolicy({ app, policy: { callerTokens: true } });

export const callersTokens: readonly Case[] = [
  {
    title: "a session opens by the token that its creation brought",
    async holds(trial) {
      const { client, app, add } = trial;
      await allow(trial);
      for (const token of makeTokens()) {
        const { token: answered, session } = await add({ token });
        assert.equal(answered, token);
        const read = await client.getSession({ app, token, peek: true });
        assert.equal(read.session?.sessionId, session.sessionId);
        const batch = await client.batchGetSessions({ app, tokens: [token], peek: true });
        assert.equal(batch.results[0]?.result.case, "session");
        await client.updateSession({ app, token, data: { a: 1 } });
        await client.extendSession({ app, token, idleTtl: seconds(60) });
        const list = await client.listUserSessions({ app, userId: "ann", currentToken: token });
        assert.equal(
          list.sessions.find(({ isCurrent }) => isCurrent)?.sessionId,
          session.sessionId,
        );
        await client.deleteUserSessions({
          ...{ app, userId: "ann" },
          keep: { case: "keepToken", value: token },
        });
        const rotated = await client.rotateToken({ app, token });
        assert.equal(
          (await client.getSession({ app, token: rotated.token })).session?.userId,
          "ann",
        );
        await client.deleteSession({ app, target: { case: "token", value: token } });
        await assertRefused(client.getSession({ app, token }), NOT_FOUND);
      }
    },
  },
  {
    title: "an app whose policy says nothing of it takes no token of a caller",
    async holds({ client, app }) {
      const created = client.createSession({ app, userId: "ann", token: makeToken() });
      await assertRefused(created, FORBIDDEN);
      await assert.rejects(created, /caller_tokens/);
      assert.deepEqual((await client.listSessions({ app })).sessions, []);
    },
  },
  {
    title: "a policy that takes tokens of callers no more leaves the sessions that have them",
    async holds(trial) {
      const { client, app, add } = trial;
      await allow(trial);
      const { token } = await add({ token: makeToken() });
      await client.setAppPolicy({ app, policy: {} });
      assert.equal((await client.getSession({ app, token })).session?.userId, "ann");
      await assertRefused(add({ token: makeToken() }), FORBIDDEN);
    },
  },
  {
    title: "a token that is taken, or was a session's before its rotation, is refused",
    async holds(trial) {
      const { client, app, add } = trial;
      await allow(trial);
      const { token, session } = await add({ token: makeToken() });
      await assertRefused(add({ token, userId: "eve" }), EXISTS);
      await client.rotateToken({ app, token });
      await assertRefused(add({ token, userId: "eve" }), EXISTS);
      const ofServer = await add();
      await assertRefused(add({ token: ofServer.token, userId: "eve" }), EXISTS);
      const read = await client.getSession({ app, token, peek: true });
      assert.equal(read.session?.sessionId, session.sessionId);
      assert.deepEqual((await client.listUserSessions({ app, userId: "eve" })).sessions, []);
    },
  },
  {
    title: "a token whose session ended brings nothing of it back",
    async holds(trial) {
      const { client, app, add } = trial;
      await allow(trial);
      const { token, session } = await add({ token: makeToken(), data: { cart: 1 } });
      await client.deleteSession({ app, target: { case: "token", value: token } });
      await assertRefused(client.updateSession({ app, token, data: { a: 1 } }), NOT_FOUND);
      await assertRefused(client.rotateToken({ app, token }), NOT_FOUND);
      const again = await add({ token, userId: "bob" });
      assert.notEqual(again.session.sessionId, session.sessionId);
      assert.deepEqual(plain(again.session).data, {});
    },
  },
  {
    title: "a creation that brings a token is repeated by its request_id, and answers it again",
    async holds(trial) {
      const { client, app } = trial;
      await allow(trial);
      const [token, requestId] = [makeToken(), randomUUID()];
      const request = { app, userId: "ann", token, requestId };
      const first = await client.createSession(request);
      assert.deepEqual(await client.createSession(request), first);
      assert.equal(first.token, token);
      const other = client.createSession({ ...request, token: makeToken() });
      await assertRefused(other, EXISTS);
      await assertRefused(client.createSession({ app, userId: "ann", requestId }), EXISTS);
      assert.equal((await client.listSessions({ app })).sessions.length, 1);
    },
  },
];
