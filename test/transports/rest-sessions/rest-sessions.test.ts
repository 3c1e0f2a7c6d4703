import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAnswer, type RestTrial, withRest } from "../../support/transports/rest-trial.js";
import { SECOND, STORES } from "../../support/transports/server.js";

/** Declares a test over each store. */
function check(title: string, body: (trial: RestTrial) => Promise<void>): void {
  for (const store of STORES) test(`${title} (${store})`, () => withRest(store, body));
}

check("ping answers PONG, as it is", async ({ rest }) => {
  assertAnswer(await rest.call("GET", "/ping"), "PONG");
});

check("reads and writes count from 1; get answers the counters before it", async (trial) => {
  const { text, create } = trial;
  const token = await create("ann?ip=::1");
  const counters = async (method: string, path: string, value?: unknown) => {
    const { r, w } = JSON.parse(await text(method, path, value)) as { r: number; w: number };
    return [r, w];
  };
  assert.deepEqual(await counters("GET", `/shop/get/${token}`), [1, 1]);
  assert.deepEqual(await counters("GET", `/shop/get/${token}`), [2, 1]);
  assert.deepEqual(await counters("POST", `/shop/set/${token}`, { a: 1 }), [3, 2]);
  assert.deepEqual(await counters("POST", `/shop/set/${token}`, { a: 2 }), [3, 3]);
  await text("GET", "/shop/soid/ann");
  await text("GET", "/shop/soapp?dt=60");
  assert.deepEqual(await counters("GET", `/shop/get/${token}`), [3, 3]);
});

check("idle is whole seconds since the last get or set", async ({ text, create, clock }) => {
  const token = await create("ann?ip=::1");
  const idle = async (method: string, path: string, value?: unknown) =>
    (JSON.parse(await text(method, path, value)) as { idle: number }).idle;
  const listed = async () => JSON.parse(await text("GET", "/shop/soid/ann")).sessions[0].idle;
  clock.advance(1_999);
  assert.equal(await listed(), 1);
  assert.equal(await idle("GET", `/shop/get/${token}`), 1);
  assert.equal(await idle("GET", `/shop/get/${token}`), 0);
  clock.advance(5_000);
  assert.equal(await idle("POST", `/shop/set/${token}`, { a: 1 }), 5);
  clock.advance(999);
  assert.equal(await idle("GET", `/shop/get/${token}`), 0);
  assert.equal(await listed(), 0);
});

check("the time to live is 7200 s if not given", async ({ text, create, clock }) => {
  const token = await create("ann?ip=::1");
  clock.advance(7200 * SECOND - 1);
  assert.match(await text("GET", `/shop/get/${token}`), /"ttl":7200,"idle":7199,/);
  clock.advance(7200 * SECOND);
  assert.equal(await text("GET", `/shop/get/${token}`), "{}");
});

check("get and set restart the time to live, the lists do not", async (trial) => {
  const { text, create, clock } = trial;
  const token = await create("ann?ip=::1&ttl=10");
  clock.advance(9 * SECOND);
  await text("GET", `/shop/get/${token}`);
  clock.advance(9 * SECOND);
  await text("POST", `/shop/set/${token}`, { a: 1 });
  clock.advance(9 * SECOND);
  assert.match(await text("GET", "/shop/soapp?dt=10"), /"ann"/);
  assert.match(await text("GET", "/shop/soid/ann"), /"ann"/);
  clock.advance(SECOND);
  assert.equal(await text("GET", `/shop/get/${token}`), "{}");
});

check("an expired or unknown session is {} to get and set, 0 to kill", async (trial) => {
  const { text, create, clock } = trial;
  const expired = await create("ann?ip=::1&ttl=10");
  clock.advance(10 * SECOND);
  for (const token of [expired, "x".repeat(64)]) {
    assert.equal(await text("GET", `/shop/get/${token}`), "{}");
    assert.equal(await text("POST", `/shop/set/${token}`, { a: 1 }), "{}");
    assert.equal(await text("DELETE", `/shop/kill/${token}`), '{"kill":0}');
  }
});

check("a token opens nothing in another app", async ({ text, create }) => {
  const token = await create("ann?ip=::1");
  assert.equal(await text("GET", `/another/get/${token}`), "{}");
  assert.equal(await text("POST", `/another/set/${token}`, { a: 1 }), "{}");
  assert.equal(await text("DELETE", `/another/kill/${token}`), '{"kill":0}');
  assert.match(await text("GET", `/shop/get/${token}`), /"r":1,"w":1/);
});

check("a body given to create is d from the first, but for its nulls", async (trial) => {
  const { text, create } = trial;
  const d = { name: "Ann", age: 46, ok: true, rate: 0.5, gone: null };
  const token = await create("ann?ip=::1", d);
  assert.equal(
    await text("GET", `/shop/get/${token}`),
    '{"id":"ann","r":1,"w":1,"ttl":7200,"idle":0,"ip":"::1","d":{"name":"Ann","age":46,"ok":true,"rate":0.5}}',
  );
  for (const none of [{}, { gone: null }]) {
    const bare = await create("bob?ip=::1", none);
    assert.equal(
      await text("GET", `/shop/get/${bare}`),
      '{"id":"bob","r":1,"w":1,"ttl":7200,"idle":0,"ip":"::1"}',
    );
  }
});

check("d is absent when empty and goes with its last key", async ({ text, create }) => {
  const token = await create("ann?ip=::1");
  assert.match(await text("POST", `/shop/set/${token}`, { a: 1, b: 2 }), /"d":{"a":1,"b":2}}$/);
  assert.match(await text("POST", `/shop/set/${token}`, { a: null, x: null }), /"d":{"b":2}}$/);
  const bare = '{"id":"ann","r":1,"w":4,"ttl":7200,"idle":0,"ip":"::1"}';
  assert.equal(await text("POST", `/shop/set/${token}`, { b: null }), bare);
  assert.equal(await text("GET", `/shop/get/${token}`), bare);
});

check("d keeps its keys and values to the letter", async ({ rest, text, create }) => {
  const token = await create("ann?ip=::1");
  const content =
    '{"__proto__":"x","constructor":1,"a\\u0000b":"\\u0000","이름":"김 🔑","":false,"n":-1.5e-7,"1":"one"}';
  // Keys like whole numbers come first, as in every JavaScript object.
  const d = JSON.stringify(JSON.parse(content));
  const answer = await rest.call("POST", `/shop/set/${token}`, {
    content,
    type: "application/json",
  });
  const session = `{"id":"ann","r":1,"w":2,"ttl":7200,"idle":0,"ip":"::1","d":${d}}`;
  assertAnswer(answer, session);
  assert.equal(await text("GET", `/shop/get/${token}`), session);
  assert.ok(d.includes('"__proto__":"x"'));
});

check("a no_resave session ends at its first deadline and answers what is left", async (trial) => {
  const { text, create, clock } = trial;
  const token = await create("ann?ip=::1&ttl=100&no_resave=true", { a: 1 });
  clock.advance(30_500);
  assert.equal(
    await text("GET", `/shop/get/${token}`),
    '{"id":"ann","r":1,"w":1,"ttl":70,"idle":30,"ip":"::1","d":{"a":1},"no_resave":true}',
  );
  clock.advance(60 * SECOND);
  assert.equal(
    await text("POST", `/shop/set/${token}`, { a: null }),
    '{"id":"ann","r":2,"w":2,"ttl":10,"idle":60,"ip":"::1","no_resave":true}',
  );
  clock.advance(5 * SECOND);
  const listed = '{"id":"ann","r":2,"w":2,"ttl":5,"idle":5,"ip":"::1","no_resave":true}';
  assert.equal(await text("GET", "/shop/soid/ann"), `{"sessions":[${listed}]}`);
  assert.equal(await text("GET", "/shop/soapp?dt=10"), `{"sessions":[${listed}]}`);
  clock.advance(4_499);
  assert.match(await text("GET", `/shop/get/${token}`), /"ttl":1,/);
  clock.advance(1);
  assert.equal(await text("GET", `/shop/get/${token}`), "{}");
});

check("no_resave=false is an ordinary session", async ({ text, create }) => {
  const token = await create("ann?ip=::1&ttl=100&no_resave=false");
  assert.equal(
    await text("GET", `/shop/get/${token}`),
    '{"id":"ann","r":1,"w":1,"ttl":100,"idle":0,"ip":"::1"}',
  );
});
