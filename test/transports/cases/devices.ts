import assert from "node:assert/strict";
import {
  assertRefused,
  type Case,
  idsOf,
  NOT_FOUND,
  plain,
} from "../../support/transports/case.js";
import { SECOND } from "../../support/transports/server.js";

const AGENTS = {
  laptop: "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:126.0) Gecko/20100101 Firefox/126.0",
  phone:
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
  script: "curl/8.5.0",
};

export const devices: readonly Case[] = [
  {
    title: "lists name each session's device, and say which is the caller's own",
    async holds({ client, app, add }) {
      const laptop = await add({ userAgent: AGENTS.laptop });
      await add({ userAgent: AGENTS.phone });
      await add({ userAgent: AGENTS.script });
      await add();
      const asked = { app, currentToken: laptop.token };
      for (const { sessions } of [
        await client.listUserSessions({ ...asked, userId: "ann" }),
        await client.listSessions(asked),
      ]) {
        assert.deepEqual(
          sessions.map(({ device, isCurrent }) => [device, isCurrent]),
          [
            ["", false],
            ["", false],
            ["Safari on iOS", false],
            ["Firefox on Windows", true],
          ],
        );
      }
    },
  },
  {
    title:
      "no session is the caller's own without its token, or with one that opens none of the app",
    async holds({ client, app, add }) {
      const { token } = await add();
      const elsewhere = await client.createSession({ app: `${app}-2`, userId: "ann" });
      await client.deleteSession({ app, target: { case: "token", value: token } });
      await add();
      for (const currentToken of ["", token, elsewhere.token, "x".repeat(64)]) {
        const { sessions } = await client.listUserSessions({ app, userId: "ann", currentToken });
        assert.deepEqual(
          sessions.map(({ isCurrent }) => isCurrent),
          [false],
        );
      }
    },
  },
  {
    title: "only lists name devices",
    async holds({ client, app, add }) {
      const { token, session } = await add({ userAgent: AGENTS.laptop });
      const read = await client.getSession({ app, token });
      for (const one of [session, read.session ?? assert.fail()]) {
        assert.equal(one.device, "");
        assert.equal(one.isCurrent, false);
      }
    },
  },
  {
    title: "a page of devices ends one of them by its session_id, then all but the caller's own",
    async holds({ client, app, add }) {
      const own = await add({ userAgent: AGENTS.laptop });
      const phone = await add({ userAgent: AGENTS.phone });
      const others = [await add(), await add()];
      const list = async () => {
        const asked = { app, userId: "ann", currentToken: own.token };
        return (await client.listUserSessions(asked)).sessions;
      };
      const lost = (await list()).find(({ device }) => device === "Safari on iOS");
      const target = { case: "sessionId", value: lost?.sessionId ?? "" } as const;
      await client.deleteSession({ app, target });
      await assertRefused(client.getSession({ app, token: phone.token }), NOT_FOUND);
      assert.equal((await list()).length, 3);

      const keep = { case: "keepToken", value: own.token } as const;
      const { deletedCount } = await client.deleteUserSessions({ app, userId: "ann", keep });
      assert.equal(deletedCount, 2n);
      const left = await list();
      assert.deepEqual(idsOf(left), [own.session.sessionId]);
      assert.equal(left[0]?.isCurrent, true);
      for (const { token } of others) {
        await assertRefused(client.getSession({ app, token }), NOT_FOUND);
      }
    },
  },
  {
    title: "of all that reads, only GetSession without peek touches",
    async holds({ client, app, add, clock }) {
      const { token, session } = await add();
      clock.advance(SECOND);
      await client.getSession({ app, token, peek: true });
      await client.listSessions({ app, currentToken: token });
      await client.listUserSessions({ app, userId: "ann", currentToken: token });
      await client.countActiveUsers({ app, activeWithin: { seconds: 60n } });
      await client.getAppPolicy({ app });
      const peeked = await client.getSession({ app, token, peek: true });
      assert.deepEqual(plain(peeked.session), plain(session));
    },
  },
];
