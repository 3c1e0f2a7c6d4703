import assert from "node:assert/strict";
import {
  assertRefused,
  type Case,
  invalid,
  NOT_FOUND,
  plain,
  seconds,
  VERSION_MISMATCH,
} from "../../support/transports/case.js";
import { SECOND } from "../../support/transports/server.js";

export const extending: readonly Case[] = [
  {
    title: "an extension of the idle limit counts from now and leaves the absolute one",
    async holds({ client, app, add, clock }) {
      const { token, session } = await add({ idleTtl: seconds(10), absoluteTtl: seconds(500) });
      clock.advance(5 * SECOND);
      const extended = await client.extendSession({ app, token, idleTtl: seconds(100) });
      assert.deepEqual(plain(extended.session), {
        ...plain(session),
        version: 2,
        lastAccessedAt: clock.now(),
        idleTtl: 100,
        expiresAt: clock.now() + 100 * SECOND,
      });
      clock.advance(100 * SECOND - 1);
      await client.getSession({ app, token, peek: true });
    },
  },
  {
    title: "an extension of the absolute limit counts from now and leaves the idle one",
    async holds({ client, app, add, clock }) {
      const { token } = await add({ idleTtl: seconds(60), absoluteTtl: seconds(20) });
      clock.advance(15 * SECOND);
      const extended = await client.extendSession({ app, token, absoluteTtl: seconds(20) });
      const seen = plain(extended.session);
      assert.equal(seen.idleTtl, 60);
      assert.equal(seen.absoluteExpiresAt, clock.now() + 20 * SECOND);
      assert.equal(seen.expiresAt, seen.absoluteExpiresAt);
    },
  },
  {
    title: "an extension can set both limits, and give one to a session without",
    async holds({ client, app, add, clock }) {
      const { token } = await add();
      const limits = { idleTtl: seconds(30), absoluteTtl: seconds(40) };
      const seen = plain((await client.extendSession({ app, token, ...limits })).session);
      assert.equal(seen.idleTtl, 30);
      assert.equal(seen.expiresAt, clock.now() + 30 * SECOND);
      assert.equal(seen.absoluteExpiresAt, clock.now() + 40 * SECOND);
    },
  },
  {
    title: "an extension can shorten a limit",
    async holds({ client, app, add, clock }) {
      const { token } = await add();
      await client.extendSession({ app, token, idleTtl: seconds(10) });
      clock.advance(10 * SECOND);
      await assertRefused(client.getSession({ app, token }), NOT_FOUND);
    },
  },
  {
    title: "an extension that expects another version changes nothing",
    async holds({ client, app, add }) {
      const { token, session } = await add();
      const extend = (expectedVersion: bigint) =>
        client.extendSession({ app, token, idleTtl: seconds(99), expectedVersion });
      await assertRefused(extend(2n), VERSION_MISMATCH);
      const read = await client.getSession({ app, token, peek: true });
      assert.deepEqual(plain(read.session), plain(session));
      assert.equal((await extend(1n)).session?.version, 2n);
    },
  },
  {
    title: "an extension without a limit is refused",
    async holds({ client, app, add }) {
      const { token } = await add();
      await assertRefused(client.extendSession({ app, token }), invalid("idle_ttl"));
    },
  },
  {
    title: "an expired session is not extended",
    async holds({ client, app, add, clock }) {
      const { token } = await add({ idleTtl: seconds(10) });
      clock.advance(10 * SECOND);
      const extension = client.extendSession({ app, token, idleTtl: seconds(100) });
      await assertRefused(extension, NOT_FOUND);
    },
  },
];
