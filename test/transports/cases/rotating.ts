import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  assertRefused,
  type Case,
  NOT_FOUND,
  plain,
  seconds,
  type Trial,
  VERSION_MISMATCH,
} from "../../support/transports/case.js";
import { SECOND } from "../../support/transports/server.js";

/** A session that was rotated once, with 30 s of grace. */
async function rotated({ client, app, add }: Trial) {
  const { token: old, session } = await add({ data: { cart: 1 } });
  const answer = await client.rotateToken({ app, token: old });
  return { old, session, answer, token: answer.token };
}

const target = (token: string) => ({ case: "token" as const, value: token });

/** Every way to use a token, but its rotation. */
const USES: Readonly<Record<string, (trial: Trial, token: string) => Promise<unknown>>> = {
  "a read": ({ client, app }, token) => client.getSession({ app, token }),
  "a peek": ({ client, app }, token) => client.getSession({ app, token, peek: true }),
  "an update": ({ client, app }, token) => client.updateSession({ app, token, data: { a: 1 } }),
  "an extension": ({ client, app }, token) =>
    client.extendSession({ app, token, idleTtl: seconds(600) }),
  "a deletion": ({ client, app }, token) => client.deleteSession({ app, target: target(token) }),
  "a deletion of all others": ({ client, app }, token) =>
    client.deleteUserSessions({
      app,
      userId: "ann",
      keep: { case: "keepToken", value: token },
    }),
};

const USES_AND_ROTATION: typeof USES = {
  ...USES,
  "a rotation": ({ client, app }, token) => client.rotateToken({ app, token }),
  "a deletion that allows for a missing session": ({ client, app }, token) =>
    client.deleteSession({ app, target: target(token), allowMissing: true }),
};

export const rotating: readonly Case[] = [
  {
    title: "a rotation gives the same session a new token, as an access with a new version",
    async holds(trial) {
      const { client, app, clock } = trial;
      const { token: old, session } = await trial.add({ data: { cart: 1 } });
      clock.advance(5 * SECOND);
      const answer = await client.rotateToken({ app, token: old });
      assert.match(answer.token, /^[A-Za-z0-9]{64}$/);
      assert.notEqual(answer.token, old);
      assert.deepEqual(plain(answer.session), {
        ...plain(session),
        version: 2,
        lastAccessedAt: clock.now(),
        expiresAt: clock.now() + 7_200 * SECOND,
      });
      assert.ok(answer.graceEndsAt);
      assert.equal(timestampMs(answer.graceEndsAt), clock.now() + 30 * SECOND);
      const read = await client.getSession({ app, token: answer.token, peek: true });
      assert.deepEqual(plain(read.session), plain(answer.session));
    },
  },
  {
    title: "a session with a new token is listed and counted as before",
    async holds(trial) {
      const { session } = await rotated(trial);
      const { client, app } = trial;
      const { sessions } = await client.listSessions({ app });
      assert.deepEqual(
        sessions.map(({ sessionId }) => sessionId),
        [session.sessionId],
      );
      const { userCount } = await client.countActiveUsers({ app, activeWithin: seconds(60) });
      assert.equal(userCount, 1n);
    },
  },
  ...Object.entries(USES).map(
    ([use, run]): Case => ({
      title: `in its grace an old token is good for ${use}`,
      async holds(trial) {
        const { old } = await rotated(trial);
        trial.clock.advance(30 * SECOND - 1);
        await run(trial, old);
      },
    }),
  ),
  ...Object.entries(USES_AND_ROTATION).map(
    ([use, run]): Case => ({
      title: `after its grace an old token used for ${use} ends the session`,
      async holds(trial) {
        const { old, token } = await rotated(trial);
        const { client, app } = trial;
        const other = await trial.add();
        trial.clock.advance(30 * SECOND);
        await client.getSession({ app, token });
        await assertRefused(run(trial, old), NOT_FOUND);
        await assertRefused(client.getSession({ app, token }), NOT_FOUND);
        await client.getSession({ app, token: other.token });
      },
    }),
  ),
  {
    title: "an update by an old token in its grace is seen by the new one",
    async holds(trial) {
      const { old, token } = await rotated(trial);
      const { client, app } = trial;
      await client.updateSession({ app, token: old, data: { seen: true } });
      const { session } = await client.getSession({ app, token });
      assert.deepEqual(session?.data, { cart: 1, seen: true });
    },
  },
  {
    title: "an old token is not rotated again, and its session lives on",
    async holds(trial) {
      const { old, token } = await rotated(trial);
      const { client, app } = trial;
      await assertRefused(client.rotateToken({ app, token: old }), VERSION_MISMATCH);
      await client.getSession({ app, token });
    },
  },
  ...Object.entries(USES).map(
    ([use, run]): Case => ({
      title: `an old token is good for ${use} after its grace, as long as the new one was not used`,
      async holds(trial) {
        const { old, token } = await rotated(trial);
        const { client, app, clock } = trial;
        clock.advance(60 * SECOND);
        await run(trial, old);
        if (use === "a deletion") return;
        await run(trial, old);
        await client.getSession({ app, token });
        await assertRefused(client.getSession({ app, token: old }), NOT_FOUND);
        await assertRefused(client.getSession({ app, token }), NOT_FOUND);
      },
    }),
  ),
  ...Object.entries(USES_AND_ROTATION)
    .filter(([use]) => !use.startsWith("a deletion"))
    .map(
      ([use, run]): Case => ({
        title: `the new token used for ${use} makes the use of the old one a theft`,
        async holds(trial) {
          const { old, token } = await rotated(trial);
          const { client, app, clock } = trial;
          clock.advance(60 * SECOND);
          await run(trial, token);
          const peek = client.getSession({ app, token: old, peek: true });
          await assertRefused(peek, NOT_FOUND);
          await assertRefused(client.getSession({ app, token }), NOT_FOUND);
        },
      }),
    ),
  {
    title: "a new token in a batch, kept by a deletion or shown as current counts as used",
    async holds(trial) {
      const { client, app, clock } = trial;
      const uses: readonly ((token: string) => Promise<unknown>)[] = [
        (token) => client.batchGetSessions({ app, tokens: [token], peek: true }),
        (token) => client.listSessions({ app, currentToken: token }),
        (token) =>
          client.deleteUserSessions({
            ...{ app, userId: "ann" },
            keep: { case: "keepToken", value: token },
          }),
      ];
      for (const use of uses) {
        const { old, token } = await rotated(trial);
        clock.advance(60 * SECOND);
        await use(token);
        await assertRefused(client.getSession({ app, token: old }), NOT_FOUND);
      }
    },
  },
  {
    title: "a call that the new token was refused is no use of it",
    async holds(trial) {
      const { old, token } = await rotated(trial);
      const { client, app, clock } = trial;
      clock.advance(60 * SECOND);
      const stale = client.updateSession({ app, token, data: { a: 1 }, expectedVersion: 9n });
      await assertRefused(stale, VERSION_MISMATCH);
      await client.getSession({ app, token: old });
    },
  },
  {
    title: "after rotations whose answers were lost the old token is rotated again",
    async holds(trial) {
      const { client, app, clock } = trial;
      const { token: old, session } = await trial.add();
      for (let lost = 0; lost < 3; lost++) {
        await client.rotateToken({ app, token: old, grace: seconds(10) });
        const early = client.rotateToken({ app, token: old });
        await assertRefused(early, VERSION_MISMATCH);
        clock.advance(10 * SECOND);
        await client.getSession({ app, token: old });
      }
      const { token } = await client.rotateToken({ app, token: old, grace: seconds(10) });
      const read = await client.getSession({ app, token });
      assert.equal(read.session?.sessionId, session.sessionId);
      await client.getSession({ app, token: old });
      clock.advance(10 * SECOND);
      await assertRefused(client.getSession({ app, token: old }), NOT_FOUND);
      await assertRefused(client.getSession({ app, token }), NOT_FOUND);
    },
  },
  {
    title: "a new token that another rotation replaced before its use ends the session",
    async holds(trial) {
      const { old, token } = await rotated(trial);
      const { client, app, clock } = trial;
      clock.advance(30 * SECOND);
      const again = await client.rotateToken({ app, token: old });
      await assertRefused(client.getSession({ app, token }), NOT_FOUND);
      await assertRefused(client.getSession({ app, token: again.token }), NOT_FOUND);
      await assertRefused(client.getSession({ app, token: old }), NOT_FOUND);
    },
  },
  {
    title: "a rotation is repeated by its request_id after the grace, and the token is the same",
    async holds(trial) {
      const { client, app, clock } = trial;
      const { token: old } = await trial.add();
      const request = { app, token: old, requestId: randomUUID() };
      const { token } = await client.rotateToken(request);
      clock.advance(60 * SECOND);
      assert.equal((await client.rotateToken(request)).token, token);
      await client.getSession({ app, token: old });
      await client.getSession({ app, token });
      assert.equal((await client.rotateToken(request)).token, token);
      await client.getSession({ app, token });
    },
  },
  {
    title: "a rotation without grace leaves the old token good until the new one is used",
    async holds(trial) {
      const { client, app } = trial;
      const { token: old } = await trial.add();
      const { token } = await client.rotateToken({ app, token: old, grace: seconds(0) });
      await client.getSession({ app, token: old });
      await client.getSession({ app, token });
      await assertRefused(client.getSession({ app, token: old }), NOT_FOUND);
      await assertRefused(client.getSession({ app, token }), NOT_FOUND);
    },
  },
  {
    title: "a rotation that assumes its answer received makes the use after the grace a theft",
    async holds(trial) {
      const { client, app } = trial;
      const { token: old } = await trial.add();
      const request = { app, token: old, grace: seconds(0), assumeReceived: true };
      const { token } = await client.rotateToken(request);
      await assertRefused(client.getSession({ app, token: old, peek: true }), NOT_FOUND);
      await assertRefused(client.getSession({ app, token }), NOT_FOUND);
    },
  },
  {
    title: "a grace lasts as long as was asked for, whatever rotations follow",
    async holds(trial) {
      const { client, app, clock } = trial;
      const { token: first } = await trial.add();
      const second = await client.rotateToken({ app, token: first, grace: seconds(300) });
      const third = await client.rotateToken({ app, token: second.token, grace: seconds(10) });
      clock.advance(10 * SECOND);
      await client.getSession({ app, token: first });
      await client.getSession({ app, token: third.token });
      await assertRefused(client.getSession({ app, token: second.token }), NOT_FOUND);
      await assertRefused(client.getSession({ app, token: first }), NOT_FOUND);
      await assertRefused(client.getSession({ app, token: third.token }), NOT_FOUND);
    },
  },
  {
    title: "an old token of another app's session is nothing to an app",
    async holds(trial) {
      const { old, token } = await rotated(trial);
      const { client, app, clock } = trial;
      clock.advance(60 * SECOND);
      await assertRefused(client.getSession({ app: `${app}-2`, token: old }), NOT_FOUND);
      await client.getSession({ app, token });
    },
  },
  {
    title: "an expired session is not rotated",
    async holds({ client, app, add, clock }) {
      const { token } = await add({ idleTtl: seconds(10) });
      clock.advance(10 * SECOND);
      await assertRefused(client.rotateToken({ app, token }), NOT_FOUND);
    },
  },
  {
    title: "a rotation with another expected_version changes nothing",
    async holds({ client, app, add }) {
      const { token } = await add();
      const rotation = client.rotateToken({ app, token, expectedVersion: 2n });
      await assertRefused(rotation, VERSION_MISMATCH);
      const { session } = await client.rotateToken({ app, token, expectedVersion: 1n });
      assert.equal(session?.version, 2n);
    },
  },
  {
    title: "of fifty rotations at once one wins, and the others are told that they lost",
    async holds({ client, app, add }) {
      const { token: old } = await add();
      const rotations = await Promise.allSettled(
        Array.from({ length: 50 }, () => client.rotateToken({ app, token: old })),
      );
      const winners = rotations.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
      assert.equal(winners.length, 1);
      for (const one of rotations) {
        if (one.status === "rejected") {
          await assertRefused(Promise.reject(one.reason), VERSION_MISMATCH);
        }
      }
      const [winner] = winners;
      const { session } = await client.getSession({ app, token: winner?.token ?? "" });
      assert.equal(session?.version, 2n);
    },
  },
];
