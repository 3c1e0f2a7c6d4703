import assert from "node:assert/strict";
import { type Case, invalid, seconds } from "../../support/transports/case.js";
import { SECOND } from "../../support/transports/server.js";

export const counting: readonly Case[] = [
  {
    title: "active users are counted, not their sessions, and of this app only",
    async holds({ client, app, add }) {
      await Promise.all([add(), add(), add({ userId: "bob" })]);
      await client.createSession({ app: "another", userId: "eve", ip: "::1" });
      const { userCount } = await client.countActiveUsers({ app, activeWithin: seconds(60) });
      assert.equal(userCount, 2n);
    },
  },
  {
    title: "a user is active through the latest access of any session",
    async holds({ client, app, add, clock }) {
      const { token } = await add();
      await Promise.all([add(), add({ userId: "bob" })]);
      const count = async (within: number) =>
        (await client.countActiveUsers({ app, activeWithin: seconds(within) })).userCount;
      clock.advance(10 * SECOND);
      assert.equal(await count(10), 2n);
      clock.advance(1);
      assert.equal(await count(10), 0n);
      await client.getSession({ app, token, peek: true });
      assert.equal(await count(10), 0n);
      await client.getSession({ app, token });
      assert.equal(await count(10), 1n);
      assert.equal(await count(11), 2n);
    },
  },
  {
    title: "a user whose sessions ended or expired is not active",
    async holds({ client, app, add, clock }) {
      await add({ idleTtl: seconds(10) });
      const { token } = await add({ userId: "bob" });
      const count = async () =>
        (await client.countActiveUsers({ app, activeWithin: seconds(3600) })).userCount;
      clock.advance(10 * SECOND);
      assert.equal(await count(), 1n);
      await client.deleteSession({ app, target: { case: "token", value: token } });
      assert.equal(await count(), 0n);
    },
  },
  {
    title: "a count needs to be told how far back",
    storeless: true,
    refused: invalid("active_within"),
    send: ({ client, app }) => client.countActiveUsers({ app }),
  },
];
