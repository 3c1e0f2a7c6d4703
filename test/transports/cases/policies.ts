import assert from "node:assert/strict";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  type AppPolicySchema,
  AtLimit,
  Binding,
} from "../../../gen/ts/latchkey/session/v1/app_policy_pb.js";
import {
  assertRefused,
  type Case,
  idsOf,
  invalid,
  NOT_FOUND,
  plain,
  type Refusal,
  seconds,
  type Trial,
} from "../../support/transports/case.js";
import { MINUTE, SECOND } from "../../support/transports/server.js";

const AT_LIMIT: Refusal = { code: Code.ResourceExhausted, reason: "LIMIT" };

const FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:126.0) Gecko/20100101 Firefox/126.0";

const set = ({ client, app }: Trial, policy: MessageInitShape<typeof AppPolicySchema>) =>
  client.setAppPolicy({ app, policy });

/** Which of these sessions live, asked without touching them. */
async function livingOf({ client, app }: Trial, tokens: readonly string[]): Promise<boolean[]> {
  const reads = tokens.map((token) =>
    client.getSession({ app, token, peek: true }).then(
      () => true,
      () => false,
    ),
  );
  return Promise.all(reads);
}

const setting: readonly Case[] = [
  {
    title: "an app without a policy has no rules",
    async holds({ client, app }) {
      const { policy } = await client.getAppPolicy({ app });
      const { $typeName: _, ...rules } = policy ?? assert.fail();
      assert.deepEqual(rules, {
        maxSessionsPerUser: 0,
        atLimit: AtLimit.REFUSE,
        bindIp: Binding.OFF,
        bindUserAgent: Binding.OFF,
        callerTokens: false,
      });
    },
  },
  {
    title: "a policy is answered as it was set, whole, until the next is set",
    async holds(trial) {
      const { client, app } = trial;
      const whole = {
        defaultIdleTtl: seconds(20),
        maxIdleTtl: seconds(30),
        defaultAbsoluteTtl: seconds(40),
        maxAbsoluteTtl: seconds(50),
        maxSessionsPerUser: 3,
        atLimit: AtLimit.EVICT_LEAST_RECENTLY_USED,
        bindIp: Binding.REPORT,
        bindUserAgent: Binding.END,
        touchInterval: seconds(5),
        callerTokens: true,
      };
      const answered = await set(trial, whole);
      const policy = (await client.getAppPolicy({ app })).policy ?? assert.fail();
      assert.deepEqual(answered.policy, policy);
      const again = await set(trial, policy);
      assert.deepEqual(again.policy, policy);
      assert.equal(policy.maxIdleTtl?.seconds, 30n);
      assert.equal(policy.atLimit, AtLimit.EVICT_LEAST_RECENTLY_USED);
      assert.equal(policy.callerTokens, true);

      await set(trial, { maxSessionsPerUser: 2 });
      const next = (await client.getAppPolicy({ app })).policy ?? assert.fail();
      assert.equal(next.maxIdleTtl, undefined);
      assert.equal(next.touchInterval, undefined);
      assert.equal(next.callerTokens, false);
      assert.equal(next.maxSessionsPerUser, 2);
      assert.equal(next.atLimit, AtLimit.REFUSE);
    },
  },
  {
    title: "a refused policy leaves the one before",
    async holds(trial) {
      const { client, app } = trial;
      const before = await set(trial, { maxSessionsPerUser: 2 });
      await assert.rejects(set(trial, { maxSessionsPerUser: 5, maxIdleTtl: seconds(1) }));
      assert.deepEqual((await client.getAppPolicy({ app })).policy, before.policy);
    },
  },
  {
    title: "a policy is of its app alone",
    async holds(trial) {
      await set(trial, { defaultIdleTtl: seconds(60) });
      const { client, app } = trial;
      const other = await client.createSession({ app: `${app}-2`, userId: "ann" });
      assert.equal(plain(other.session).idleTtl, 7200);
      assert.equal(plain((await client.createSession({ app, userId: "ann" })).session).idleTtl, 60);
    },
  },
];

const limiting: readonly Case[] = [
  {
    title: "the policy's defaults hold for what asks for none, and what asks gets its own",
    async holds(trial) {
      await set(trial, { defaultIdleTtl: seconds(60), defaultAbsoluteTtl: seconds(90) });
      const { clock, add } = trial;
      const usual = plain((await add()).session);
      assert.equal(usual.idleTtl, 60);
      assert.equal(usual.absoluteExpiresAt, clock.now() + 90 * SECOND);
      const own = plain((await add({ idleTtl: seconds(70), absoluteTtl: seconds(100) })).session);
      assert.equal(own.idleTtl, 70);
      assert.equal(own.absoluteExpiresAt, clock.now() + 100 * SECOND);
    },
  },
  {
    title: "a maximum without a default is the default, if that would be more",
    async holds(trial) {
      const { clock, add } = trial;
      await set(trial, { maxIdleTtl: seconds(600), maxAbsoluteTtl: seconds(900) });
      const usual = plain((await add()).session);
      assert.equal(usual.idleTtl, 600);
      assert.equal(usual.absoluteExpiresAt, clock.now() + 900 * SECOND);
      await set(trial, { maxIdleTtl: seconds(10_000) });
      assert.equal(plain((await add()).session).idleTtl, 7200);
    },
  },
  {
    title: "a creation may ask for the maximum and for no more",
    async holds(trial) {
      await set(trial, { maxIdleTtl: seconds(60), maxAbsoluteTtl: seconds(90) });
      const { add } = trial;
      await add({ idleTtl: seconds(60), absoluteTtl: seconds(90) });
      await assertRefused(add({ idleTtl: seconds(61) }), invalid("idle_ttl"));
      await assertRefused(add({ absoluteTtl: seconds(91) }), invalid("absolute_ttl"));
      await assert.rejects(add({ idleTtl: seconds(61) }), /idle_ttl must be at most 60 s/);
    },
  },
  {
    title: "an extension gets to the maximum since creation and no further",
    async holds(trial) {
      await set(trial, { maxIdleTtl: seconds(60), maxAbsoluteTtl: seconds(100) });
      const { client, app, add, clock } = trial;
      const { token } = await add({ absoluteTtl: seconds(50) });
      const created = clock.now();
      clock.advance(30 * SECOND);
      const extend = (request: object) => client.extendSession({ app, token, ...request });
      await assertRefused(extend({ absoluteTtl: seconds(71) }), invalid("absolute_ttl"));
      await assertRefused(extend({ idleTtl: seconds(61) }), invalid("idle_ttl"));
      const { session } = await extend({ absoluteTtl: seconds(70), idleTtl: seconds(60) });
      assert.equal(plain(session).absoluteExpiresAt, created + 100 * SECOND);
      assert.equal(plain(session).version, 2);
    },
  },
  {
    title: "sessions keep the limits that they have when a policy is set",
    async holds(trial) {
      const { client, app, add } = trial;
      const { token, session } = await add();
      await set(trial, { maxIdleTtl: seconds(60), maxAbsoluteTtl: seconds(60) });
      const peeked = await client.getSession({ app, token, peek: true });
      assert.deepEqual(plain(peeked.session), plain(session));
    },
  },
];

const capping: readonly Case[] = [
  {
    title: "a user with as many sessions as may be is refused another",
    async holds(trial) {
      const { client, app, add, clock } = trial;
      await set(trial, { maxSessionsPerUser: 2 });
      const first = await add();
      const second = await add({ idleTtl: seconds(60) });
      await assertRefused(add(), AT_LIMIT);
      await add({ userId: "bob" });
      assert.deepEqual(await livingOf(trial, [first.token, second.token]), [true, true]);

      await client.deleteSession({ app, target: { case: "token", value: first.token } });
      await add();
      await assertRefused(add(), AT_LIMIT);
      clock.advance(60 * SECOND);
      await add();
      await assertRefused(add(), AT_LIMIT);
    },
  },
  {
    title: "the oldest session gives way to a new one",
    async holds(trial) {
      const { client, app, add, clock } = trial;
      await set(trial, { maxSessionsPerUser: 2, atLimit: AtLimit.EVICT_OLDEST });
      const first = await add();
      const second = await add();
      clock.advance(SECOND);
      await client.getSession({ app, token: first.token });
      const third = await add();
      const tokens = [first, second, third].map(({ token }) => token);
      assert.deepEqual(await livingOf(trial, tokens), [false, true, true]);
    },
  },
  {
    title: "the session that was used longest ago gives way to a new one",
    async holds(trial) {
      const { client, app, add, clock } = trial;
      await set(trial, { maxSessionsPerUser: 2, atLimit: AtLimit.EVICT_LEAST_RECENTLY_USED });
      const first = await add();
      const second = await add();
      clock.advance(SECOND);
      await client.getSession({ app, token: first.token });
      const third = await add();
      const tokens = [first, second, third].map(({ token }) => token);
      assert.deepEqual(await livingOf(trial, tokens), [true, false, true]);
    },
  },
  {
    title: "a user that has more than may be loses the excess with the next session",
    async holds(trial) {
      const { client, app, add } = trial;
      const before = [await add(), await add(), await add(), await add()];
      await set(trial, { maxSessionsPerUser: 2, atLimit: AtLimit.EVICT_OLDEST });
      const tokens = before.map(({ token }) => token);
      assert.deepEqual(await livingOf(trial, tokens), [true, true, true, true]);
      const last = await add();
      assert.deepEqual(await livingOf(trial, tokens), [false, false, false, true]);
      const { sessions } = await client.listUserSessions({ app, userId: "ann" });
      assert.deepEqual(idsOf(sessions), idsOf([last.session, before[3]?.session ?? assert.fail()]));
    },
  },
  {
    title: "of many creations at once as many are answered as may be",
    async holds(trial) {
      await set(trial, { maxSessionsPerUser: 5 });
      const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => trial.add()));
      assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 5);
      const { sessions } = await trial.client.listUserSessions({ app: trial.app, userId: "ann" });
      assert.equal(sessions.length, 5);
    },
  },
];

const binding: readonly Case[] = [
  {
    title: "a session that is bound to end ends when it is read from another address",
    async holds(trial) {
      const { client, app, add } = trial;
      await set(trial, { bindIp: Binding.END });
      for (const peek of [false, true]) {
        const { token } = await add({ ip: "192.0.2.1" });
        await client.getSession({ app, token, peek, ip: "192.0.2.1" });
        await client.getSession({ app, token, peek, ip: "::ffff:192.0.2.1" });
        await client.getSession({ app, token, peek });
        const stolen = client.getSession({ app, token, peek, ip: "192.0.2.2" });
        await assertRefused(stolen, NOT_FOUND);
        await assertRefused(client.getSession({ app, token, ip: "192.0.2.1" }), NOT_FOUND);
      }
      const { sessions } = await client.listSessions({ app });
      assert.deepEqual(sessions, []);
    },
  },
  {
    title: "a session that is bound to end ends when it is read by another user agent",
    async holds(trial) {
      const { client, app, add } = trial;
      await set(trial, { bindUserAgent: Binding.END });
      const { token } = await add({ userAgent: FIREFOX });
      await client.getSession({ app, token, userAgent: FIREFOX, ip: "192.0.2.99" });
      const stolen = client.getSession({ app, token, userAgent: FIREFOX.toLowerCase() });
      await assertRefused(stolen, NOT_FOUND);
      await assertRefused(client.getSession({ app, token }), NOT_FOUND);
    },
  },
  {
    title: "a read that does not match is answered where the policy reports it or does not bind",
    async holds(trial) {
      const { client, app, add } = trial;
      const elsewhere = { ip: "198.51.100.1", userAgent: "curl/8" };
      for (const policy of [{ bindIp: Binding.REPORT, bindUserAgent: Binding.REPORT }, {}]) {
        await set(trial, policy);
        const { token } = await add({ userAgent: FIREFOX });
        const read = await client.getSession({ app, token, ...elsewhere });
        assert.equal(plain(read.session).reads, 2);
        assert.equal(read.session?.ip, "192.0.2.1");
      }
    },
  },
  {
    title: "what the session or the read does not know is not compared",
    async holds(trial) {
      const { client, app } = trial;
      await set(trial, { bindIp: Binding.END, bindUserAgent: Binding.END });
      const { token } = await client.createSession({ app, userId: "ann" });
      await client.getSession({ app, token, ip: "192.0.2.1", userAgent: FIREFOX });
      await client.getSession({ app, token });
    },
  },
];

const throttling: readonly Case[] = [
  {
    title: "reads within the touch interval neither count nor restart the idle time",
    async holds(trial) {
      const { client, app, add, clock } = trial;
      await set(trial, { touchInterval: seconds(60) });
      const { token, session } = await add();
      clock.advance(MINUTE - 1);
      const within = await client.getSession({ app, token });
      assert.deepEqual(plain(within.session), plain(session));
      clock.advance(1);
      const after = plain((await client.getSession({ app, token })).session);
      assert.equal(after.reads, 2);
      assert.equal(after.lastAccessedAt, clock.now());
      assert.equal(after.expiresAt, clock.now() + 7200 * SECOND);
    },
  },
  {
    title: "reads keep a session alive whose idle limit is shorter than the touch interval",
    async holds(trial) {
      const { client, app, add, clock } = trial;
      await set(trial, { touchInterval: seconds(3600) });
      const { token } = await add({ idleTtl: seconds(10) });
      for (let read = 0; read < 5; read++) {
        clock.advance(6 * SECOND);
        await client.getSession({ app, token });
      }
    },
  },
];

export const policies: readonly Case[] = [
  ...setting,
  ...limiting,
  ...capping,
  ...binding,
  ...throttling,
];
