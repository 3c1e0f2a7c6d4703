import assert from "node:assert/strict";
import { type Case, invalid, plain, seconds } from "../../support/transports/case.js";
import { SECOND } from "../../support/transports/server.js";

const TOKEN = /^[A-Za-z0-9]{64}$/;
const UUID_7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

export const creating: readonly Case[] = [
  {
    title: "a session of required fields only has the defaults",
    async holds({ client, app, clock }) {
      const answer = await client.createSession({ app, userId: "ann" });
      assert.match(answer.token, TOKEN);
      const { sessionId, ...rest } = plain(answer.session);
      assert.match(sessionId, UUID_7);
      assert.deepEqual(rest, {
        app,
        userId: "ann",
        ip: "",
        userAgent: "",
        data: {},
        reads: 1,
        writes: 1,
        version: 1,
        createdAt: clock.now(),
        lastAccessedAt: clock.now(),
        idleTtl: 7200,
        expiresAt: clock.now() + 7200 * SECOND,
        absoluteExpiresAt: null,
      });
    },
  },
  {
    title: "a session has what its creation gave",
    async holds({ add, clock }) {
      const data = { cart: [1, 2.5, null], deep: { a: { b: "c" } }, dark: true };
      const { session } = await add({
        ip: "192.0.2.7",
        userAgent: "Mozilla/5.0",
        data,
        idleTtl: seconds(60),
        absoluteTtl: seconds(90),
      });
      const seen = plain(session);
      assert.equal(seen.ip, "192.0.2.7");
      assert.equal(seen.userAgent, "Mozilla/5.0");
      assert.deepEqual(seen.data, data);
      assert.equal(seen.idleTtl, 60);
      assert.equal(seen.expiresAt, clock.now() + 60 * SECOND);
      assert.equal(seen.absoluteExpiresAt, clock.now() + 90 * SECOND);
    },
  },
  {
    title: "an absolute limit before the idle one decides when the session expires",
    async holds({ add, clock }) {
      const { session } = await add({ idleTtl: seconds(60), absoluteTtl: seconds(20) });
      assert.equal(plain(session).expiresAt, clock.now() + 20 * SECOND);
    },
  },
  {
    title: "a key whose value is null is not stored, a null within a value is",
    async holds({ client, app, add }) {
      const { token, session } = await add({ data: { gone: null, kept: { inner: null } } });
      const read = await client.getSession({ app, token });
      assert.deepEqual(session.data, { kept: { inner: null } });
      assert.deepEqual(read.session?.data, { kept: { inner: null } });
    },
  },
  {
    title: "sessions of one user differ in token and session_id",
    async holds({ add }) {
      const added = await Promise.all(Array.from({ length: 20 }, () => add()));
      assert.equal(new Set(added.map(({ token }) => token)).size, 20);
      assert.equal(new Set(added.map(({ session }) => session.sessionId)).size, 20);
    },
  },
  {
    title: "a refused creation leaves nothing behind",
    async holds({ client, app }) {
      await assert.rejects(client.createSession({ app, userId: "ann", ip: "\n" }));
      assert.deepEqual((await client.listSessions({ app })).sessions, []);
    },
  },
  {
    title: "of several wrong fields the first is blamed",
    storeless: true,
    refused: invalid("app"),
    send: ({ client }) => client.createSession({ app: "!", userId: "", ip: "\n" }),
  },
];
