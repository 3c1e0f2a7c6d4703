import assert from "node:assert/strict";
import { DataMerge } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
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

export const updating: readonly Case[] = [
  {
    title: "an update sets keys, removes those of null, keeps the others, replaces nested whole",
    async holds({ client, app, add }) {
      const { token } = await add({
        data: { kept: 1, set: 2, removed: 3, nested: { a: 1, b: 2 } },
      });
      const data = { set: "new", removed: null, nested: { b: 3 }, absent: null, added: [] };
      const { session } = await client.updateSession({ app, token, data });
      const merged = { kept: 1, set: "new", nested: { b: 3 }, added: [] };
      assert.deepEqual(session?.data, merged);
      const read = await client.getSession({ app, token, peek: true });
      assert.deepEqual(plain(read.session), plain(session));
    },
  },
  {
    title: "an update by merge patch merges nested objects and removes nested keys of null",
    async holds({ client, app, add }) {
      const { token } = await add({
        data: { kept: 1, nested: { a: 1, b: { c: 2, d: 3 } }, list: [1, { a: 1 }], text: "x" },
      });
      const { session } = await client.updateSession({
        app,
        token,
        merge: DataMerge.PATCH,
        data: {
          nested: { a: null, b: { d: 4, e: 5 } },
          list: [{ b: null }],
          text: { new: 1, never: null },
        },
      });
      assert.deepEqual(session?.data, {
        kept: 1,
        nested: { b: { c: 2, d: 4, e: 5 } },
        list: [{ b: null }],
        text: { new: 1 },
      });
    },
  },
  {
    title: "an update counts the write, not a read, and restarts the idle time",
    async holds({ client, app, add, clock }) {
      const { token, session } = await add({ idleTtl: seconds(60) });
      clock.advance(40 * SECOND);
      const updated = await client.updateSession({ app, token, data: { a: 1 } });
      assert.deepEqual(plain(updated.session), {
        ...plain(session),
        data: { a: 1 },
        writes: 2,
        version: 2,
        lastAccessedAt: clock.now(),
        expiresAt: clock.now() + 60 * SECOND,
      });
    },
  },
  {
    title: "removing the last key leaves no data",
    async holds({ client, app, add }) {
      const { token } = await add({ data: { only: 1 } });
      const { session } = await client.updateSession({ app, token, data: { only: null } });
      assert.deepEqual(session?.data, {});
    },
  },
  {
    title: "an update that expects the session's version is carried out",
    async holds({ client, app, add }) {
      const { token } = await add();
      for (const expectedVersion of [1n, 2n, 3n]) {
        const data = { n: Number(expectedVersion) };
        const { session } = await client.updateSession({ app, token, data, expectedVersion });
        assert.equal(session?.version, expectedVersion + 1n);
      }
    },
  },
  {
    title: "an update that expects another version changes nothing",
    async holds({ client, app, add, clock }) {
      const { token, session } = await add({ data: { a: 1 } });
      clock.advance(SECOND);
      for (const expectedVersion of [2n, 9_007_199_254_740_991n]) {
        const update = client.updateSession({ app, token, data: { a: 2 }, expectedVersion });
        await assertRefused(update, VERSION_MISMATCH);
      }
      const read = await client.getSession({ app, token, peek: true });
      assert.deepEqual(plain(read.session), plain(session));
    },
  },
  {
    title: "a read does not change the version",
    async holds({ client, app, add }) {
      const { token } = await add();
      await client.getSession({ app, token });
      await client.updateSession({ app, token, data: { a: 1 }, expectedVersion: 1n });
    },
  },
  {
    title: "of twenty updates that expect one version one is carried out",
    async holds({ client, app, add }) {
      const { token } = await add();
      const outcomes = await Promise.allSettled(
        Array.from({ length: 20 }, (_, index) =>
          client.updateSession({ app, token, data: { index }, expectedVersion: 1n }),
        ),
      );
      assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
      const { session } = await client.getSession({ app, token, peek: true });
      assert.equal(session?.version, 2n);
    },
  },
  {
    title: "no update without a key",
    async holds({ client, app, add }) {
      const { token } = await add();
      await assertRefused(client.updateSession({ app, token }), invalid("data"), "no data");
      await assertRefused(client.updateSession({ app, token, data: {} }), invalid("data"), "{}");
    },
  },
  {
    title: "an update that would exceed the limit of data changes nothing",
    async holds({ client, app, add }) {
      // {"a":"…"} has 8 bytes beside the text, and ,"b":"…" has 7.
      const { token, session } = await add({ data: { a: "x".repeat(59_000) } });
      const update = (length: number) =>
        client.updateSession({ app, token, data: { b: "y".repeat(length) } });
      await assertRefused(update(986), invalid("data"));
      const read = await client.getSession({ app, token, peek: true });
      assert.deepEqual(plain(read.session), plain(session));
      await update(985);
    },
  },
  {
    title: "an expired session is not updated",
    async holds({ client, app, add, clock }) {
      const { token } = await add({ idleTtl: seconds(10) });
      clock.advance(10 * SECOND);
      await assertRefused(client.updateSession({ app, token, data: { a: 1 } }), NOT_FOUND);
    },
  },
  {
    title: "another app's session is not updated",
    async holds({ client, app, add }) {
      const { token } = await add();
      const update = client.updateSession({ app: "another", token, data: { a: 1 } });
      await assertRefused(update, NOT_FOUND);
      const { session } = await client.getSession({ app, token, peek: true });
      assert.deepEqual(session?.data, {});
    },
  },
];
