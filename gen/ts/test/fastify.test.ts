import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, type TestContext, test } from "node:test";
import cookie from "@fastify/cookie";
import fastify from "fastify";
import { startServer } from "../../../test/support/process/server.js";
import { latchkeyPlugin } from "../src/fastify.js";
import { createLatchkey } from "../src/index.js";

/** For all tests; each has an app of its own. */
const server = startServer({ after }, { LATCHKEY_STORE: "memory:" });

/** A Fastify app as people write them. */
async function openApp(t: TestContext) {
  const latchkey = createLatchkey({ address: (await server).grpc });
  const name = `u-${randomUUID().slice(0, 8)}`;
  const app = fastify();
  t.after(async () => {
    await app.close();
    latchkey.close();
  });
  await app.register(cookie);
  await app.register(latchkeyPlugin, { latchkey, app: name });
  app.get("/", async ({ session }) => ({
    user: session.current?.userId,
    ...session.current?.data,
  }));
  app.post<{ Params: { user: string } }>("/login/:user", async ({ session, params }) => {
    const { userId } = await session.login(params.user, { cart: 1 });
    return { userId };
  });
  app.post<{ Params: { n: string } }>("/keys/:n", async ({ session, params }) => {
    const { data } = await session.update({ [`key${params.n}`]: Number(params.n) });
    return data;
  });
  app.post("/plain-login", async ({ session }) => session.login(42, { cart: 0 }));
  app.get("/session", async ({ session }) => session.current);
  app.post("/rotate", ({ session }) => session.rotate());
  app.post("/logout", ({ session }) => session.logout());
  app.post("/logout-everywhere", async ({ session }) => `${await session.logoutEverywhere()}`);

  /** A browser: it has one cookie at most, and keeps it. */
  const newDevice = (sid = "") => {
    const device = {
      sid,
      send: async (method: "GET" | "POST", url: string) => {
        const headers = { cookie: `sid=${device.sid}` };
        const answer = await app.inject({ method, url, headers });
        const set = answer.cookies.find(({ name }) => name === "sid");
        if (set) device.sid = set.value;
        return { status: answer.statusCode, text: answer.body, set };
      },
      data: async () => JSON.parse((await device.send("GET", "/")).text) as unknown,
    };
    return device;
  };
  return { name, latchkey, newDevice };
}

test("a login begins a session whose cookie scripts cannot read", async (t) => {
  const { newDevice } = await openApp(t);
  const device = newDevice();
  assert.deepEqual(await device.data(), {});
  const { set } = await device.send("POST", "/login/ann");
  assert.match(device.sid, /^[A-Za-z0-9]{64}$/);
  assert.deepEqual(
    [set?.httpOnly, set?.sameSite, set?.path, set?.secure],
    [true, "Lax", "/", undefined],
  );
  assert.deepEqual(await device.data(), { user: "ann", cart: 1 });
});

test("parallel updates keep each other's changes", async (t) => {
  const { newDevice } = await openApp(t);
  const device = newDevice();
  await device.send("POST", "/login/ann");
  const numbers = Array.from({ length: 100 }, (_, n) => n);
  await Promise.all(numbers.map((n) => device.send("POST", `/keys/${n}`)));
  const keys = Object.fromEntries(numbers.map((n) => [`key${n}`, n]));
  assert.deepEqual(await device.data(), { user: "ann", cart: 1, ...keys });
});

test("a login ends the session before it, and adopts no token", async (t) => {
  const { newDevice } = await openApp(t);
  const thief = newDevice();
  await thief.send("POST", "/login/eve");
  const victim = newDevice(thief.sid);
  await victim.send("POST", "/login/ann");
  assert.deepEqual(await victim.data(), { user: "ann", cart: 1 });
  assert.deepEqual(await thief.data(), {});
  for (const made of ["A".repeat(64), "short"]) {
    const device = newDevice(made);
    assert.deepEqual(await device.data(), {});
    await device.send("POST", "/login/ann");
    assert.notEqual(device.sid, made);
  }
});

test("a rotation changes the token, once for parallel requests", async (t) => {
  const { newDevice, latchkey, name } = await openApp(t);
  const device = newDevice();
  await device.send("POST", "/login/ann");
  const old = newDevice(device.sid);
  const rotations = Array.from({ length: 5 }, () => newDevice(old.sid).send("POST", "/rotate"));
  const answers = await Promise.all(rotations);
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  const tokens = answers.flatMap(({ set }) => (set ? [set.value] : []));
  assert.equal(tokens.length, 1);
  for (const sid of [old.sid, ...tokens]) {
    assert.deepEqual(await newDevice(sid).data(), { user: "ann", cart: 1 });
  }
  assert.equal((await latchkey.sessions.listSessions({ app: name })).sessions.length, 1);
});

test("a logout ends one session, a logout on all devices all of the user", async (t) => {
  const { newDevice } = await openApp(t);
  const devices = [newDevice(), newDevice(), newDevice()];
  for (const device of devices) await device.send("POST", "/login/ann");
  const other = newDevice();
  await other.send("POST", "/login/bob");
  const [first = other, second = other] = devices;
  const copy = newDevice(first.sid);
  await first.send("POST", "/logout");
  assert.equal(first.sid, "");
  assert.deepEqual(await copy.data(), {});
  assert.deepEqual(await second.data(), { user: "ann", cart: 1 });
  assert.equal((await second.send("POST", "/logout-everywhere")).text, "2");
  for (const device of devices) assert.deepEqual(await device.data(), {});
  assert.deepEqual(await other.data(), { user: "bob", cart: 1 });
});

test("a handler may answer a session, and a user may have a number", async (t) => {
  const { newDevice } = await openApp(t);
  const device = newDevice();
  const { status, text } = await device.send("POST", "/plain-login");
  assert.equal(status, 200);
  const { userId, data, reads } = JSON.parse(text);
  assert.deepEqual({ userId, data, reads }, { userId: "42", data: { cart: 0 }, reads: "1" });
  assert.equal(JSON.parse((await device.send("GET", "/session")).text).userId, "42");
});

test("without a login an update is told NOT_FOUND, and a rotation does nothing", async (t) => {
  const { newDevice } = await openApp(t);
  const device = newDevice();
  assert.match((await device.send("POST", "/keys/1")).text, /no session/);
  const { status, set } = await device.send("POST", "/rotate");
  assert.deepEqual([status, set], [200, undefined]);
});

test("a visitor is not told where Latchkey is", async (t) => {
  const app = fastify();
  const latchkey = createLatchkey({ address: "127.0.0.1:1" });
  t.after(async () => {
    await app.close();
    latchkey.close();
  });
  await app.register(cookie);
  await app.register(latchkeyPlugin, { latchkey, app: "shop" });
  app.get("/", () => "hello");
  const visit = (sid: string) => app.inject({ url: "/", headers: { cookie: `sid=${sid}` } });
  const { statusCode, body } = await visit("A".repeat(64));
  assert.equal(statusCode, 500);
  assert.equal(JSON.parse(body).message, "Latchkey cannot be reached");
  // Who has no session is served.
  assert.equal((await visit("")).body, "hello");
});

test("without @fastify/cookie it does not start", async (t) => {
  const latchkey = createLatchkey({ address: (await server).grpc });
  t.after(() => latchkey.close());
  const app = fastify();
  app.register(latchkeyPlugin, { latchkey, app: "shop" });
  await assert.rejects(async () => await app.ready(), /@fastify\/cookie/);
});
