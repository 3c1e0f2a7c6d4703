import assert from "node:assert/strict";
import { test } from "node:test";
import { type RestTrial, withRest } from "../../support/transports/rest-trial.js";
import { SECOND, STORES } from "../../support/transports/server.js";

/** Declares a test over each store. */
function check(title: string, body: (trial: RestTrial) => Promise<void>): void {
  for (const store of STORES) test(`${title} (${store})`, () => withRest(store, body));
}

/** The ids of a list, in its order. */
const idsOf = (text: string) =>
  (JSON.parse(text) as { sessions: { id: string }[] }).sessions.map(({ id }) => id);

check("activity counts users, not sessions, by their last get or set", async (trial) => {
  const { text, create, clock } = trial;
  const token = await create("ann?ip=::1");
  await create("ann?ip=::1");
  await create("bob?ip=::1");
  const activity = (dt: number) => text("GET", `/shop/activity?dt=${dt}`);
  assert.equal(await activity(10), '{"activity":2}');
  clock.advance(10 * SECOND);
  assert.equal(await activity(10), '{"activity":2}');
  clock.advance(SECOND);
  assert.equal(await activity(10), '{"activity":0}');
  await text("GET", `/shop/get/${token}`);
  assert.equal(await activity(10), '{"activity":1}');
  assert.equal(await activity(11), '{"activity":2}');
  assert.equal(await text("GET", "/another/activity?dt=600"), '{"activity":0}');
});

check("a user leaves activity with the last session, not before", async (trial) => {
  const { text, create } = trial;
  const tokens = [await create("ann?ip=::1"), await create("ann?ip=::1")];
  const activity = () => text("GET", "/shop/activity?dt=600");
  await text("DELETE", `/shop/kill/${tokens[0]}`);
  assert.equal(await activity(), '{"activity":1}');
  await text("DELETE", `/shop/kill/${tokens[1]}`);
  assert.equal(await activity(), '{"activity":0}');
  await create("bob?ip=::1");
  assert.equal(await activity(), '{"activity":1}');
  await text("DELETE", "/shop/killall");
  assert.equal(await activity(), '{"activity":0}');
});

check("soapp lists the sessions of the last dt seconds, newest activity first", async (trial) => {
  const { text, create, clock } = trial;
  const first = await create("first?ip=::1");
  clock.advance(SECOND);
  await create("second?ip=::1");
  clock.advance(SECOND);
  await create("third?ip=::1");
  const soapp = async (dt: number) => idsOf(await text("GET", `/shop/soapp?dt=${dt}`));
  assert.deepEqual(await soapp(600), ["third", "second", "first"]);
  clock.advance(SECOND);
  await text("GET", `/shop/get/${first}`);
  assert.deepEqual(await soapp(600), ["first", "third", "second"]);
  clock.advance(9 * SECOND);
  assert.deepEqual(await soapp(10), ["first", "third"]);
  assert.equal(await text("GET", "/another/soapp?dt=600"), '{"sessions":[]}');
});

check("soapp lists all, however many", async ({ text, create }) => {
  await Promise.all(Array.from({ length: 1_001 }, (_, index) => create(`user${index}?ip=::1`)));
  const listed = idsOf(await text("GET", "/shop/soapp?dt=600"));
  assert.equal(new Set(listed).size, 1_001);
  assert.equal(listed.length, 1_001);
});

check("soid lists a user's sessions with all their fields and no token", async (trial) => {
  const { text, create, clock } = trial;
  const tokens = [
    await create("user456?ip=192.168.99.25&ttl=86400"),
    await create("user456?ip=10.0.2.45", { a: 1 }),
    await create("user4567?ip=::1"),
  ];
  clock.advance(217 * SECOND);
  const listed = await text("GET", "/shop/soid/user456");
  const { sessions } = JSON.parse(listed) as { sessions: { ip: string }[] };
  sessions.sort((a, b) => b.ip.localeCompare(a.ip));
  assert.equal(
    JSON.stringify(sessions),
    '[{"id":"user456","r":1,"w":1,"ttl":86400,"idle":217,"ip":"192.168.99.25"},' +
      '{"id":"user456","r":1,"w":1,"ttl":7200,"idle":217,"ip":"10.0.2.45","d":{"a":1}}]',
  );
  for (const token of tokens) assert.equal(listed.includes(token), false);
  assert.equal(await text("GET", "/shop/soid/nobody"), '{"sessions":[]}');
});

check("expired sessions are in no list and no count", async ({ text, create, clock }) => {
  await create("ann?ip=::1&ttl=10");
  clock.advance(10 * SECOND);
  assert.equal(await text("GET", "/shop/soapp?dt=600"), '{"sessions":[]}');
  assert.equal(await text("GET", "/shop/soid/ann"), '{"sessions":[]}');
  assert.equal(await text("GET", "/shop/activity?dt=600"), '{"activity":0}');
  assert.equal(await text("DELETE", "/shop/killsoid/ann"), '{"kill":0}');
  assert.equal(await text("DELETE", "/shop/killall"), '{"kill":0}');
});

check("kill ends one session, once", async ({ text, create }) => {
  const [token, other] = [await create("ann?ip=::1"), await create("ann?ip=::1")];
  assert.equal(await text("DELETE", `/shop/kill/${token}`), '{"kill":1}');
  assert.equal(await text("DELETE", `/shop/kill/${token}`), '{"kill":0}');
  assert.equal(await text("GET", `/shop/get/${token}`), "{}");
  assert.match(await text("GET", `/shop/get/${other}`), /"id":"ann"/);
});

check("killsoid ends a user's sessions and says how many", async ({ text, create }) => {
  const tokens = await Promise.all([1, 2, 3].map(() => create("ann?ip=::1")));
  const other = await create("bob?ip=::1");
  assert.equal(await text("DELETE", "/shop/killsoid/ann"), '{"kill":3}');
  assert.equal(await text("DELETE", "/shop/killsoid/ann"), '{"kill":0}');
  for (const token of tokens) assert.equal(await text("GET", `/shop/get/${token}`), "{}");
  assert.match(await text("GET", `/shop/get/${other}`), /"id":"bob"/);
});

check("killall ends an app's sessions, no other app's, and says how many", async (trial) => {
  const { text, create } = trial;
  await Promise.all(
    ["a:b", "a", "b:", "한:국"].map((id) => create(`${encodeURIComponent(id)}?ip=1`)),
  );
  await text("PUT", "/another/create/ann?ip=::1");
  assert.equal(await text("DELETE", "/shop/killall"), '{"kill":4}');
  assert.equal(await text("DELETE", "/shop/killall"), '{"kill":0}');
  assert.equal(await text("GET", "/shop/soapp?dt=600"), '{"sessions":[]}');
  assert.equal(await text("GET", "/another/activity?dt=600"), '{"activity":1}');
});
