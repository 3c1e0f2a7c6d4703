import assert from "node:assert/strict";
import {
  assertRefused,
  type Case,
  idsOf,
  invalid,
  NOT_FOUND,
  seconds,
  type Trial,
  VERSION_MISMATCH,
} from "../../support/transports/case.js";
import { SECOND } from "../../support/transports/server.js";

const byToken = (token: string) => ({ case: "token", value: token }) as const;
const byId = (sessionId: string) => ({ case: "sessionId", value: sessionId }) as const;

/** Asserts that no RPC accepts the token. */
async function assertEnded({ client, app }: Trial, token: string): Promise<void> {
  const uses = {
    peek: client.getSession({ app, token, peek: true }),
    touch: client.getSession({ app, token }),
    update: client.updateSession({ app, token, data: { a: 1 } }),
    extend: client.extendSession({ app, token, idleTtl: seconds(60) }),
    delete: client.deleteSession({ app, target: byToken(token) }),
    keep: client.deleteUserSessions({
      app,
      userId: "ann",
      keep: { case: "keepToken", value: token },
    }),
  };
  // All at once: they need not be answered in this order.
  await Promise.all(Object.entries(uses).map(([what, use]) => assertRefused(use, NOT_FOUND, what)));
}

export const ending: readonly Case[] = [
  {
    title: "a session ended by its token is accepted nowhere",
    async holds(trial) {
      const { client, app, add } = trial;
      const { token, session } = await add();
      await client.deleteSession({ app, target: byToken(token) });
      await assertEnded(trial, token);
      const again = client.deleteSession({ app, target: byId(session.sessionId) });
      await assertRefused(again, NOT_FOUND);
      assert.deepEqual((await client.listSessions({ app })).sessions, []);
    },
  },
  {
    title: "a session ended by its session_id is accepted nowhere",
    async holds(trial) {
      const { client, app, add } = trial;
      const { token, session } = await add();
      await client.deleteSession({ app, target: byId(session.sessionId) });
      await assertEnded(trial, token);
    },
  },
  {
    title: "a deletion that expects another version ends nothing",
    async holds(trial) {
      const { client, app, add } = trial;
      const { token, session } = await add();
      for (const target of [byToken(token), byId(session.sessionId)]) {
        const deletion = client.deleteSession({ app, target, expectedVersion: 2n });
        await assertRefused(deletion, VERSION_MISMATCH);
      }
      await client.deleteSession({ app, target: byToken(token), expectedVersion: 1n });
      await assertEnded(trial, token);
    },
  },
  {
    title: "a deletion that allows for it succeeds also if there is no such session",
    async holds({ client, app, add }) {
      const { token, session } = await add();
      for (const target of [byToken(token), byToken(token), byId(session.sessionId)]) {
        await client.deleteSession({ app, target, allowMissing: true });
      }
      const other = await add();
      const target = byToken(other.token);
      await client.deleteSession({ app, target, allowMissing: true, expectedVersion: 1n });
    },
  },
  {
    title: "a deletion of all others that allows for it ends all if there is none to keep",
    async holds({ client, app, add }) {
      const [ann, bob] = [await add(), await add({ userId: "bob" })];
      const keep = { case: "keepToken", value: bob.token } as const;
      const request = { app, userId: "ann", keep };
      await assertRefused(client.deleteUserSessions(request), NOT_FOUND);
      await client.getSession({ app, token: ann.token });
      const { deletedCount } = await client.deleteUserSessions({ ...request, allowMissing: true });
      assert.equal(deletedCount, 1n);
      await client.getSession({ app, token: bob.token });
    },
  },
  {
    title: "an ended session leaves the user's others alone",
    async holds({ client, app, add }) {
      const [ended, other] = [await add(), await add()];
      await client.deleteSession({ app, target: byToken(ended.token) });
      await client.getSession({ app, token: other.token });
    },
  },
  {
    title: "a session is not ended from another app",
    async holds({ client, app, add }) {
      const { token, session } = await add();
      for (const target of [byToken(token), byId(session.sessionId)]) {
        await assertRefused(client.deleteSession({ app: "another", target }), NOT_FOUND);
      }
      await client.getSession({ app, token });
    },
  },
  {
    title: "an expired session cannot be ended",
    async holds({ client, app, add, clock }) {
      const { token } = await add({ idleTtl: seconds(10) });
      clock.advance(10 * SECOND);
      await assertRefused(client.deleteSession({ app, target: byToken(token) }), NOT_FOUND);
    },
  },
  {
    title: "an ending that names no session is refused",
    storeless: true,
    refused: invalid("target"),
    send: ({ client, app }) => client.deleteSession({ app }),
  },
  {
    title: "all sessions of a user end, and no other user's",
    async holds(trial) {
      const { client, app, add } = trial;
      const ended = await Promise.all([add(), add(), add()]);
      const other = await add({ userId: "bob" });
      const { deletedCount } = await client.deleteUserSessions({ app, userId: "ann" });
      assert.equal(deletedCount, 3n);
      for (const { token } of ended) await assertEnded(trial, token);
      await client.getSession({ app, token: other.token });
    },
  },
  {
    title: "all sessions of a user end but the one whose token is kept",
    async holds({ client, app, add }) {
      const [, kept] = [await add(), await add(), await add()];
      const keep = { case: "keepToken", value: kept.token } as const;
      const { deletedCount } = await client.deleteUserSessions({ app, userId: "ann", keep });
      assert.equal(deletedCount, 2n);
      const { sessions } = await client.listUserSessions({ app, userId: "ann" });
      assert.deepEqual(idsOf(sessions), [kept.session.sessionId]);
    },
  },
  {
    title: "all sessions of a user end but the one whose session_id is kept",
    async holds({ client, app, add }) {
      const [kept] = [await add(), await add()];
      const keep = { case: "keepSessionId", value: kept.session.sessionId } as const;
      const { deletedCount } = await client.deleteUserSessions({ app, userId: "ann", keep });
      assert.equal(deletedCount, 1n);
      await client.getSession({ app, token: kept.token });
    },
  },
  {
    title:
      "nothing ends if the session to keep is another user's, another app's, expired or unknown",
    async holds({ client, app, add, clock }) {
      const expired = await add({ idleTtl: seconds(10) });
      const { token } = await add();
      const bobs = await add({ userId: "bob" });
      const foreign = await client.createSession({ app: "another", userId: "ann", ip: "::1" });
      clock.advance(10 * SECOND);
      const keeps = [
        { case: "keepToken", value: bobs.token },
        { case: "keepSessionId", value: bobs.session.sessionId },
        { case: "keepToken", value: foreign.token },
        { case: "keepSessionId", value: foreign.session?.sessionId ?? "" },
        { case: "keepToken", value: expired.token },
        { case: "keepToken", value: "x".repeat(64) },
        { case: "keepSessionId", value: "00000000-0000-7000-8000-000000000000" },
      ] as const;
      for (const keep of keeps) {
        const call = client.deleteUserSessions({ app, userId: "ann", keep });
        await assertRefused(call, NOT_FOUND, keep.value);
      }
      await client.getSession({ app, token });
    },
  },
  {
    title: "ending the sessions of a user without sessions counts 0",
    async holds({ client, app }) {
      const { deletedCount } = await client.deleteUserSessions({ app, userId: "nobody" });
      assert.equal(deletedCount, 0n);
    },
  },
  {
    title: "expired sessions do not count as ended",
    async holds({ client, app, add, clock }) {
      await add({ idleTtl: seconds(10) });
      await add({ idleTtl: seconds(10), userId: "bob" });
      await Promise.all([add(), add(), add({ userId: "bob" })]);
      clock.advance(10 * SECOND);
      const ofUser = await client.deleteUserSessions({ app, userId: "ann" });
      assert.equal(ofUser.deletedCount, 2n);
      assert.equal((await client.deleteAppSessions({ app })).deletedCount, 1n);
    },
  },
  {
    title: "all sessions of an app end, and no other app's",
    async holds(trial) {
      const { client, app, add } = trial;
      const ended = await Promise.all([add(), add(), add({ userId: "bob" })]);
      const other = await client.createSession({ app: "another", userId: "ann", ip: "::1" });
      assert.equal((await client.deleteAppSessions({ app })).deletedCount, 3n);
      for (const { token } of ended) await assertEnded(trial, token);
      await client.getSession({ app: "another", token: other.token });
      assert.equal((await client.deleteAppSessions({ app })).deletedCount, 0n);
    },
  },
];
