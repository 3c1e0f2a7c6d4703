import assert from "node:assert/strict";
import { test } from "node:test";
import { type RestTrial, withRest } from "../../support/transports/rest-trial.js";
import { SECOND, STORES } from "../../support/transports/server.js";

// The examples of the public page of rest-sessions 2.0.1, with its numbers.

const APP = "/mywebapp";

/** Creates a session by a path and query of the page's and answers its token. */
async function create({ text }: RestTrial, path: string, data?: unknown): Promise<string> {
  const answer = JSON.parse(await text("PUT", `${APP}/create/${path}`, data)) as { token: string };
  assert.deepEqual(Object.keys(answer), ["token"]);
  return answer.token;
}

const parsed = async ({ text }: RestTrial, method: string, path: string, value?: unknown) =>
  JSON.parse(await text(method, `${APP}${path}`, value)) as unknown;

/** Reads and writes a session so often, each write leaving no data. */
async function use({ text }: RestTrial, token: string, reads: number, writes: number) {
  for (let read = 0; read < reads; read++) await text("GET", `${APP}/get/${token}`);
  for (let write = 0; write < writes; write++) {
    await text("POST", `${APP}/set/${token}`, { none: null });
  }
}

/** Declares a test over each store. */
function check(title: string, body: (trial: RestTrial) => Promise<void>): void {
  for (const store of STORES) test(`${title} (${store})`, () => withRest(store, body));
}

check("create and get are as on the page", async (trial) => {
  const token = await create(trial, "user123?ip=192.168.99.22&ttl=86400");
  assert.equal(token.length, 64);
  trial.clock.advance(273 * SECOND);
  assert.equal(
    await trial.text("GET", `${APP}/get/${token}`),
    '{"id":"user123","r":1,"w":1,"ttl":86400,"idle":273,"ip":"192.168.99.22"}',
  );
});

check("set, soapp, activity and kill are as on the page", async (trial) => {
  const { text, clock } = trial;
  const other = await create(trial, "user456?ip=192.168.99.25&ttl=86400");
  await use(trial, other, 3, 2);
  const token = await create(trial, "user123?ip=192.168.99.22&ttl=86400", { age: 46 });

  clock.advance(211 * SECOND);
  const first = { name: "Peter Smith", unread_msgs: 12 };
  assert.deepEqual(await parsed(trial, "POST", `/set/${token}`, first), {
    id: "user123",
    r: 1,
    w: 2,
    ttl: 86400,
    idle: 211,
    ip: "192.168.99.22",
    d: { name: "Peter Smith", unread_msgs: 12, age: 46 },
  });
  clock.advance(17 * SECOND);
  const session = {
    id: "user123",
    r: 1,
    w: 3,
    ttl: 86400,
    idle: 17,
    ip: "192.168.99.22",
    d: { name: "Bruce Dickinson", age: 46, job: "making gold records" },
  };
  const second = { name: "Bruce Dickinson", unread_msgs: null, job: "making gold records" };
  assert.deepEqual(await parsed(trial, "POST", `/set/${token}`, second), session);

  clock.advance(17 * SECOND);
  const soapp = (await parsed(trial, "GET", "/soapp?dt=600")) as { sessions: unknown[] };
  assert.deepEqual(soapp, {
    sessions: [session, { id: "user456", r: 4, w: 3, ttl: 86400, idle: 245, ip: "192.168.99.25" }],
  });
  assert.equal(await text("GET", `${APP}/activity?dt=30`), '{"activity":1}');
  assert.equal(await text("DELETE", `${APP}/kill/${token}`), '{"kill":1}');
});

check("soid is as on the page", async (trial) => {
  const older = await create(trial, "user456?ip=10.0.2.45&ttl=86400");
  await use(trial, older, 41, 30);
  trial.clock.advance((23107 - 217) * SECOND);
  const newer = await create(trial, "user456?ip=192.168.99.25&ttl=86400");
  await use(trial, newer, 3, 2);
  trial.clock.advance(217 * SECOND);
  assert.equal(
    await trial.text("GET", `${APP}/soid/user456`),
    '{"sessions":[{"id":"user456","r":4,"w":3,"ttl":86400,"idle":217,"ip":"192.168.99.25"},' +
      '{"id":"user456","r":42,"w":31,"ttl":86400,"idle":23107,"ip":"10.0.2.45"}]}',
  );
});

check("killsoid and killall are as on the page", async (trial) => {
  const { text } = trial;
  for (let count = 0; count < 3; count++) await create(trial, "user123?ip=192.168.99.22");
  for (let count = 0; count < 42; count++) await create(trial, `other${count}?ip=192.168.99.22`);
  assert.equal(await text("DELETE", `${APP}/killsoid/user123`), '{"kill":3}');
  assert.equal(await text("DELETE", `${APP}/killall`), '{"kill":42}');
});
