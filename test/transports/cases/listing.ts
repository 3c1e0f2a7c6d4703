import assert from "node:assert/strict";
import {
  type Added,
  assertRefused,
  type Case,
  idsOf,
  invalid,
  plain,
  seconds,
  type Trial,
} from "../../support/transports/case.js";
import { SECOND } from "../../support/transports/server.js";

/** Adds sessions one after the other and answers them newest first. */
async function addInOrder({ add }: Trial, count: number): Promise<Added[]> {
  const added: Added[] = [];
  for (let index = 0; index < count; index++) added.unshift(await add());
  return added;
}

const idsOfAdded = (added: readonly Added[]) => idsOf(added.map(({ session }) => session));

export const listing: readonly Case[] = [
  {
    title: "an app's sessions are listed newest first, as they are, without a token",
    async holds(trial) {
      const { client, app, clock } = trial;
      const added = await addInOrder(trial, 3);
      clock.advance(SECOND);
      const oldest = added[2];
      assert.ok(oldest);
      const touched = await client.getSession({ app, token: oldest.token });
      const { sessions, nextPageToken } = await client.listSessions({ app });
      assert.deepEqual(idsOf(sessions), idsOfAdded(added));
      assert.deepEqual(plain(sessions[2]), plain(touched.session));
      assert.equal(nextPageToken, "");
      const text = JSON.stringify(sessions, (_, value) =>
        typeof value === "bigint" ? Number(value) : value,
      );
      for (const { token } of added) assert.equal(text.includes(token), false);
    },
  },
  {
    title: "a user's sessions are listed, and no other user's",
    async holds(trial) {
      const { client, app, add } = trial;
      const added = await addInOrder(trial, 2);
      const bobs = await add({ userId: "bob" });
      const ofAnn = await client.listUserSessions({ app, userId: "ann" });
      assert.deepEqual(idsOf(ofAnn.sessions), idsOfAdded(added));
      const ofBob = await client.listUserSessions({ app, userId: "bob" });
      assert.deepEqual(idsOf(ofBob.sessions), [bobs.session.sessionId]);
      const ofNobody = await client.listUserSessions({ app, userId: "nobody" });
      assert.deepEqual(ofNobody.sessions, []);
    },
  },
  {
    title: "expired sessions are not listed",
    async holds({ client, app, add, clock }) {
      await add({ idleTtl: seconds(10) });
      const { session } = await add();
      clock.advance(10 * SECOND);
      const ids = [session.sessionId];
      assert.deepEqual(idsOf((await client.listSessions({ app })).sessions), ids);
      const ofUser = await client.listUserSessions({ app, userId: "ann" });
      assert.deepEqual(idsOf(ofUser.sessions), ids);
    },
  },
  {
    title: "pages show every session once, of an app and of a user",
    async holds(trial) {
      const { client, app } = trial;
      const ids = idsOfAdded(await addInOrder(trial, 7));
      const lists = [
        (pageToken: string) => client.listSessions({ app, pageSize: 3, pageToken }),
        (pageToken: string) =>
          client.listUserSessions({ app, userId: "ann", pageSize: 3, pageToken }),
      ];
      for (const list of lists) {
        const listed: string[] = [];
        let pageToken = "";
        do {
          const page = await list(pageToken);
          assert.ok(page.sessions.length <= 3);
          listed.push(...idsOf(page.sessions));
          pageToken = page.nextPageToken;
        } while (pageToken !== "");
        assert.deepEqual(listed, ids);
      }
    },
  },
  {
    title: "a page holds 100 sessions if not told otherwise",
    async holds({ client, app, add }) {
      await Promise.all(Array.from({ length: 101 }, () => add()));
      const first = await client.listSessions({ app });
      assert.equal(first.sessions.length, 100);
      const { nextPageToken: pageToken } = first;
      assert.equal((await client.listSessions({ app, pageToken })).sessions.length, 1);
    },
  },
  {
    title: "a page ends after about 1 MiB of data",
    async holds({ client, app, add }) {
      const data = { text: "x".repeat(59_000) };
      await Promise.all(Array.from({ length: 20 }, () => add({ data })));
      const first = await client.listSessions({ app, pageSize: 1000 });
      assert.ok(first.sessions.length >= 17 && first.sessions.length < 20);
      const { nextPageToken: pageToken } = first;
      const rest = await client.listSessions({ app, pageSize: 1000, pageToken });
      assert.equal(first.sessions.length + rest.sessions.length, 20);
    },
  },
  {
    title:
      "a page ends sooner where its sessions take more as messages, and fits a client's message",
    async holds({ client, app, add }) {
      const data = { numbers: Array.from({ length: 29_000 }, () => 1) };
      await Promise.all(Array.from({ length: 20 }, () => add({ data })));
      const first = await client.listSessions({ app, pageSize: 1000 });
      assert.ok(first.sessions.length >= 9 && first.sessions.length <= 13);
      const { nextPageToken: pageToken } = first;
      const rest = await client.listSessions({ app, pageSize: 1000, pageToken });
      assert.equal(first.sessions.length + rest.sessions.length, 20);
    },
  },
  {
    title: "a session created or ended between pages disturbs no other",
    async holds(trial) {
      const { client, app, add } = trial;
      const added = await addInOrder(trial, 4);
      const first = await client.listSessions({ app, pageSize: 2 });
      await add();
      const ended = added[2];
      assert.ok(ended);
      await client.deleteSession({ app, target: { case: "token", value: ended.token } });
      const { nextPageToken: pageToken } = first;
      const rest = await client.listSessions({ app, pageSize: 2, pageToken });
      const [a, b, , d] = idsOfAdded(added);
      assert.deepEqual(idsOf([...first.sessions, ...rest.sessions]), [a, b, d]);
    },
  },
  {
    title: "active_within lists the sessions accessed within that time",
    async holds({ client, app, add, clock }) {
      const [touched, idle] = [await add(), await add()];
      clock.advance(10 * SECOND);
      await client.getSession({ app, token: touched.token });
      const active = async (within: number) =>
        idsOf((await client.listSessions({ app, activeWithin: seconds(within) })).sessions);
      const both = [idle.session.sessionId, touched.session.sessionId];
      assert.deepEqual(await active(10), both);
      clock.advance(1);
      assert.deepEqual(await active(10), [touched.session.sessionId]);
      assert.deepEqual(await active(11), both);
    },
  },
  {
    title: "active_within counts from the first page, however late the next is asked for",
    async holds(trial) {
      const { client, app, clock } = trial;
      const added = await addInOrder(trial, 2);
      const request = { app, pageSize: 1, activeWithin: seconds(10) };
      const first = await client.listSessions(request);
      clock.advance(60 * SECOND);
      const { nextPageToken: pageToken } = first;
      const rest = await client.listSessions({ ...request, pageToken });
      assert.deepEqual(idsOf([...first.sessions, ...rest.sessions]), idsOfAdded(added));
    },
  },
  {
    title: "a page token serves its own listing only",
    async holds(trial) {
      const { client, app } = trial;
      await addInOrder(trial, 2);
      const ofApp = (await client.listSessions({ app, pageSize: 1 })).nextPageToken;
      const ofAnn = (await client.listUserSessions({ app, userId: "ann", pageSize: 1 }))
        .nextPageToken;
      const wrong = {
        "another app": client.listSessions({ app: "another", pageToken: ofApp }),
        "a user": client.listUserSessions({ app, userId: "ann", pageToken: ofApp }),
        "the app": client.listSessions({ app, pageToken: ofAnn }),
        "another user": client.listUserSessions({ app, userId: "bob", pageToken: ofAnn }),
      };
      for (const [what, call] of Object.entries(wrong)) {
        await assertRefused(call, invalid("page_token"), what);
      }
    },
  },
  {
    title: "what is no page token is refused",
    storeless: true,
    async holds({ client, app }) {
      const forged = JSON.stringify([app, "", 0]);
      const tokens = ["x", "%", "한", "e30", Buffer.from(forged).toString("base64url")];
      for (const pageToken of tokens) {
        const listed = client.listSessions({ app, pageToken });
        await assertRefused(listed, invalid("page_token"), pageToken);
      }
    },
  },
];
