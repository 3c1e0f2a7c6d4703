import assert from "node:assert/strict";
import {
  assertRefused,
  type Case,
  NOT_FOUND,
  plain,
  seconds,
} from "../../support/transports/case.js";
import { SECOND } from "../../support/transports/server.js";

export const reading: readonly Case[] = [
  {
    title: "a read counts itself, restarts the idle time and shows the session after that",
    async holds({ client, app, add, clock }) {
      const { token, session } = await add({ idleTtl: seconds(60), data: { a: 1 } });
      clock.advance(40 * SECOND);
      const read = await client.getSession({ app, token });
      assert.deepEqual(plain(read.session), {
        ...plain(session),
        reads: 2,
        lastAccessedAt: clock.now(),
        expiresAt: clock.now() + 60 * SECOND,
      });
      clock.advance(40 * SECOND);
      assert.equal(plain((await client.getSession({ app, token })).session).reads, 3);
    },
  },
  {
    title: "a peek changes nothing, however often",
    async holds({ client, app, add, clock }) {
      const { token, session } = await add({ idleTtl: seconds(60) });
      clock.advance(59 * SECOND);
      for (const _ of [1, 2]) {
        const peeked = await client.getSession({ app, token, peek: true });
        assert.deepEqual(plain(peeked.session), plain(session));
      }
      clock.advance(SECOND);
      await assertRefused(client.getSession({ app, token, peek: true }), NOT_FOUND);
    },
  },
  {
    title: "a session lives until the millisecond before it expires",
    async holds({ client, app, add, clock }) {
      const { token } = await add({ idleTtl: seconds(10) });
      clock.advance(10 * SECOND - 1);
      await client.getSession({ app, token, peek: true });
      clock.advance(1);
      await assertRefused(client.getSession({ app, token, peek: true }), NOT_FOUND);
      await assertRefused(client.getSession({ app, token }), NOT_FOUND);
    },
  },
  {
    title: "reads do not move the absolute limit",
    async holds({ client, app, add, clock }) {
      const { token } = await add({ idleTtl: seconds(20), absoluteTtl: seconds(30) });
      clock.advance(15 * SECOND);
      const read = plain((await client.getSession({ app, token })).session);
      assert.equal(read.expiresAt, read.absoluteExpiresAt);
      clock.advance(15 * SECOND);
      await assertRefused(client.getSession({ app, token }), NOT_FOUND);
    },
  },
  {
    title: "an unknown token finds nothing",
    refused: NOT_FOUND,
    send: ({ client, app }) => client.getSession({ app, token: "x".repeat(64) }),
  },
  {
    title: "another app's token finds nothing",
    async holds({ client, add }) {
      const { token } = await add();
      await assertRefused(client.getSession({ app: "another", token }), NOT_FOUND);
    },
  },
];
