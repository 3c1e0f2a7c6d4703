import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { after, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { ConnectError } from "@connectrpc/connect";
import express, { type ErrorRequestHandler } from "express";
import session, { type SessionData } from "express-session";
import { startServer } from "../../../test/support/process/server.js";
import { LatchkeyStore } from "../src/express-session.js";
import { Code, createLatchkey, LatchkeyError } from "../src/index.js";

/** For all tests; each has an app of its own. */
const server = startServer({ after }, { LATCHKEY_STORE: "memory:" });

/** A store of an app of its own. */
async function openStore(t: TestContext) {
  const latchkey = createLatchkey({ address: (await server).grpc });
  t.after(() => latchkey.close());
  const app = `u-${randomUUID().slice(0, 8)}`;
  return { app, latchkey, store: new LatchkeyStore({ latchkey, app }) };
}

type Open = Awaited<ReturnType<typeof openStore>>;

/** The store as a promise has it, and new ids as express-session makes them. */
function promised({ store }: Open) {
  const newId = () => randomBytes(24).toString("base64url");
  return {
    newId,
    get: promisify<string, SessionData | null | undefined>(store.get.bind(store)),
    set: promisify<string, SessionData>(store.set.bind(store)),
    touch: promisify<string, SessionData>(store.touch.bind(store)),
    destroy: promisify<string>(store.destroy.bind(store)),
    all: promisify<SessionData[]>(store.all.bind(store) as never),
    length: promisify<number>(store.length.bind(store) as never),
    clear: promisify<void>(store.clear.bind(store)),
  };
}

/** The declarations know nothing of its options. */
const cookieOf = (maxAge?: number) =>
  Object.assign(new session.Cookie(), maxAge === undefined ? {} : { maxAge });

const dataOf = (content: object, maxAge?: number) =>
  ({
    cookie: cookieOf(maxAge),
    ...content,
  }) as SessionData;

test("a store gets what was set, and nothing of an id that means nothing", async (t) => {
  const { newId, get, set } = promised(await openStore(t));
  const [id, other] = [newId(), newId()];
  const content = { n: 1, text: "한글 😀", list: [1, null, { a: "" }], deep: { a: null } };
  const data = dataOf(content, 60_000);
  await set(id, data);
  await set(other, dataOf({ n: 2 }));
  const { cookie, ...found } = (await get(id)) ?? dataOf({});
  assert.deepEqual(found, content);
  // Which express-session computes, so that a slow machine has less of it.
  assert.equal(cookie.originalMaxAge, data.cookie.originalMaxAge);
  assert.equal(cookie.httpOnly, true);
  assert.ok(cookie.expires instanceof Date);
  for (const nothing of [newId(), "0".repeat(64), "connect.sid", "", `new-${"0".repeat(32)}`]) {
    assert.equal(await get(nothing), undefined, nothing);
  }
});

test("setting again replaces what was there", async (t) => {
  const { newId, get, set } = promised(await openStore(t));
  const id = newId();
  await set(id, dataOf({ a: 1, b: { c: 1, d: 2 } }));
  await set(id, dataOf({ b: { c: 3 }, e: [] }));
  const { cookie: _, ...found } = (await get(id)) ?? dataOf({});
  assert.deepEqual(found, { b: { c: 3 }, e: [] });
});

test("of two requests that save at once each keeps what the other changed", async (t) => {
  const { newId, get, set } = promised(await openStore(t));
  const id = newId();
  await set(id, dataOf({ a: 1, b: 1, c: 1 }));
  const [one, two] = [(await get(id)) ?? dataOf({}), (await get(id)) ?? dataOf({})];
  Object.assign(one, { a: 2 });
  Reflect.deleteProperty(one, "c");
  Object.assign(two, { b: 2 });
  await set(id, one);
  await set(id, two);
  const { cookie: _, ...found } = (await get(id)) ?? dataOf({});
  assert.deepEqual(found, { a: 2, b: 2 });
});

test("a touch restarts the idle time, of which the cookie decides", async (t) => {
  const open = await openStore(t);
  const { app } = open;
  const { newId, set, touch } = promised(open);
  const id = newId();
  await set(id, dataOf({ n: 1 }, 60_000));
  const look = async () => (await open.latchkey.sessions.listSessions({ app })).sessions[0];
  const before = await look();
  assert.equal(before?.idleTtl?.seconds, 60n);
  await touch(id, dataOf({ n: 1 }, 60_000));
  assert.equal((await look())?.reads, (before?.reads ?? 0n) + 1n);
});

test("a destroyed session is gone, and stays so when a request still saves it", async (t) => {
  const open = await openStore(t);
  const { app } = open;
  const { newId, get, set, destroy, touch, length } = promised(open);
  const id = newId();
  const data = dataOf({ n: 1 });
  await set(id, data);
  const { sessions } = await open.latchkey.sessions.listSessions({ app });
  const target = { case: "sessionId" as const, value: sessions[0]?.sessionId ?? "" };
  await open.latchkey.sessions.deleteSession({ app, target });
  await set(id, Object.assign(data, { n: 2 }));
  await touch(id, dataOf({ n: 2 }));
  assert.equal(await get(id), undefined);
  assert.equal(await length(), 0);
  await destroy(id);
  await destroy("nothing");
});

test("a read waits for what was asked of the store before, also where nobody waits for that", async (t) => {
  const { app, latchkey } = await openStore(t);
  /** Calls that are sent late, as by a busy process. */
  const late =
    <R, A>(call: (request: R) => Promise<A>) =>
    async (request: R) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return call(request);
    };
  const { sessions } = latchkey;
  const slow = {
    ...sessions,
    createSession: late(sessions.createSession),
    updateSession: late(sessions.updateSession),
    deleteSession: late(sessions.deleteSession),
  };
  const store = new LatchkeyStore({ latchkey: { ...latchkey, sessions: slow }, app });
  const { newId, get } = promised({ app, latchkey, store });
  const id = newId();
  store.set(id, dataOf({ key1: 1 }));
  const read = await get(id);
  assert.equal(read?.["key1"], 1);
  store.set(id, Object.assign(read, { key1: 2 }));
  assert.equal((await get(id))?.["key1"], 2);
  store.destroy(id);
  assert.equal(await get(id), undefined);
});

test("all, length and clear are about all sessions of the app, and no others", async (t) => {
  const open = await openStore(t);
  const { app } = open;
  const { newId, set, all, length, clear } = promised(open);
  const other = `${app}-2`;
  await open.latchkey.sessions.createSession({ app: other, userId: "ann" });
  assert.deepEqual(await all(), []);
  assert.equal(await length(), 0);
  for (let n = 0; n < 5; n++) await set(newId(), dataOf({ n }));
  assert.equal(await length(), 5);
  const numbers = (await all()).map((data) => (data as { n?: number }).n).sort();
  assert.deepEqual(numbers, [0, 1, 2, 3, 4]);
  await clear();
  assert.equal(await length(), 0);
  assert.equal((await open.latchkey.sessions.listSessions({ app: other })).sessions.length, 1);
});

test("an id of another form is refused, and says what is wrong", async (t) => {
  const { set } = promised(await openStore(t));
  await assert.rejects(set("an id of somebody", dataOf({})), /genid/);
});

/** What the app below puts into sessions. */
declare module "express-session" {
  interface SessionData {
    userId: string;
    [key: `key${number}`]: number;
  }
}

/** An Express app as people write them. */
async function openApp(t: TestContext, { app: name, store, latchkey }: Open) {
  const app = express();
  app.use(
    session({
      store,
      secret: "a secret",
      resave: false,
      saveUninitialized: false,
      cookie: { maxAge: 60_000 },
    }),
  );
  app.get("/", (req, res) => res.json(req.session));
  app.post("/keys/:n", (req, res) => {
    req.session[`key${Number(req.params.n)}`] = Number(req.params.n);
    res.json({});
  });
  app.post("/login/:user", (req, res, next) => {
    req.session.regenerate((error) => {
      if (error) return next(error);
      req.session.userId = req.params.user;
      res.redirect("/");
    });
  });
  app.post("/careless-login/:user", (req, res) => {
    req.session.userId = req.params.user;
    req.session.save((error) => res.status(error ? 500 : 200).send(`${error}`));
  });
  app.post("/late-login/:user", (req, res) => {
    res.write("");
    res.flushHeaders();
    req.session.userId = req.params.user;
    req.session.save((error) => {
      req.session.reload(() => res.end(String(error)));
    });
  });
  app.post("/save-or-say", (req, res) => {
    req.session["key1"] = 1;
    req.session.save((error) => res.status(error ? 503 : 200).send(error ? "sorry" : "saved"));
  });
  app.post("/stream", (req, res) => {
    req.session["key1"] = 1;
    Readable.from(["a", "b", "c"]).pipe(res);
  });
  app.post("/rotate", async (req, res) => {
    res.json(await store.rotate(req));
  });
  app.post("/logout", (req, res) => {
    req.session.destroy(() => res.end());
  });
  app.post("/logout-everywhere", async (req, res) => {
    const { userId = "" } = req.session;
    await latchkey.sessions.deleteUserSessions({ app: name, userId });
    res.end();
  });
  const onError: ErrorRequestHandler = (error, _req, res, _next) => {
    res.status(500).send(String(error));
  };
  app.use(onError);
  const server = createServer(app).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;

  /** A browser: it has one cookie at most, and keeps it. */
  return (cookie = "") => {
    const device = {
      cookie,
      /** The token in the cookie. */
      token: () => /^connect\.sid=s%3A([^.]*)\./.exec(device.cookie)?.[1] ?? "",
      send: async (method: string, path: string) => {
        const sent = request({ port, path, method, headers: { cookie: device.cookie } });
        const [answer] = await once(sent.end(), "response");
        const chunks: Buffer[] = [];
        for await (const chunk of answer) chunks.push(chunk);
        const [set] = answer.headers["set-cookie"] ?? [];
        if (set !== undefined) device.cookie = set.split(";")[0];
        return { status: answer.statusCode as number, text: Buffer.concat(chunks).toString(), set };
      },
      data: async () => JSON.parse((await device.send("GET", "/")).text) as SessionData,
    };
    return device;
  };
}

async function openExpress(t: TestContext) {
  const open = await openStore(t);
  return { ...open, newDevice: await openApp(t, open) };
}

test("a visitor who leaves nothing has no session and no cookie", async (t) => {
  const { app, newDevice, latchkey } = await openExpress(t);
  const device = newDevice();
  assert.equal((await device.send("GET", "/")).set, undefined);
  assert.equal((await latchkey.sessions.listSessions({ app })).sessions.length, 0);
});

test("the cookie has Latchkey's token, also when the response is a stream", async (t) => {
  const { app, newDevice, latchkey } = await openExpress(t);
  for (const path of ["/keys/1", "/stream", "/login/ann"]) {
    const device = newDevice();
    await device.send("POST", path);
    const { session } = await latchkey.sessions.getSession({ app, token: device.token() });
    assert.ok(session?.data, path);
    assert.equal(session.userAgent, "");
    assert.equal(session.ip, "127.0.0.1");
  }
  assert.equal((await newDevice().send("POST", "/stream")).text, "abc");
  assert.equal((await latchkey.sessions.listSessions({ app })).sessions.length, 4);
});

test("of 100 parallel requests of a session each keeps the others' changes", async (t) => {
  const { newDevice } = await openExpress(t);
  const device = newDevice();
  await device.send("POST", "/login/ann");
  const numbers = Array.from({ length: 100 }, (_, n) => n);
  const answers = await Promise.all(numbers.map((n) => device.send("POST", `/keys/${n}`)));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  const { cookie: _, ...data } = await device.data();
  const keys = Object.fromEntries(numbers.map((n) => [`key${n}`, n]));
  assert.deepEqual(data, { userId: "ann", ...keys });
});

test("a login begins another session, and the one before it is gone", async (t) => {
  const { app, newDevice, latchkey } = await openExpress(t);
  const device = newDevice();
  await device.send("POST", "/keys/1");
  const before = newDevice(device.cookie);
  await device.send("POST", "/login/ann");
  assert.notEqual(device.token(), before.token());
  assert.equal((await device.data()).userId, "ann");
  assert.equal((await before.data()).userId, undefined);
  const { sessions } = await latchkey.sessions.listSessions({ app });
  assert.deepEqual(
    sessions.map(({ userId }) => userId),
    ["ann"],
  );
});

test("a login without regenerate moves the session, so that a planted cookie is worth nothing", async (t) => {
  const { app, newDevice, latchkey } = await openExpress(t);
  const thief = newDevice();
  await thief.send("POST", "/keys/1");
  const victim = newDevice(thief.cookie);
  assert.equal((await victim.send("POST", "/careless-login/ann")).status, 200);
  assert.notEqual(victim.token(), thief.token());
  const { cookie: _, ...data } = await victim.data();
  assert.deepEqual(data, { userId: "ann", key1: 1 });
  assert.equal((await thief.data()).userId, undefined);
  const { sessions } = await latchkey.sessions.listSessions({ app });
  assert.deepEqual(
    sessions.map(({ userId }) => userId),
    ["ann"],
  );
});

test("a login without regenerate fails where the cookie is sent already", async (t) => {
  const { newDevice } = await openExpress(t);
  const device = newDevice();
  await device.send("POST", "/keys/1");
  assert.match((await device.send("POST", "/late-login/ann")).text, /regenerate/);
  assert.equal((await device.data()).userId, undefined);
});

test("an id that the caller made up is not adopted", async (t) => {
  const { newDevice } = await openExpress(t);
  const device = newDevice(`connect.sid=${"A".repeat(64)}`);
  await device.send("POST", "/keys/1");
  assert.match(device.token(), /^[\w-]{32}$/);
  assert.notEqual(device.token(), "A".repeat(64));
});

test("a rotation changes the token, once for parallel requests, and keeps the session", async (t) => {
  const { app, newDevice, latchkey } = await openExpress(t);
  const device = newDevice();
  await device.send("POST", "/login/ann");
  const old = newDevice(device.cookie);
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => device.send("POST", "/rotate")),
  );
  assert.deepEqual(answers.map(({ text }) => text).sort(), [
    "false",
    "false",
    "false",
    "false",
    "true",
  ]);
  assert.notEqual(device.token(), old.token());
  assert.equal((await device.data()).userId, "ann");
  assert.equal((await old.data()).userId, "ann");
  const { sessions } = await latchkey.sessions.listSessions({ app });
  assert.equal(sessions.length, 1);
});

test("a logout on all devices ends the user's sessions, and requests under way revive none", async (t) => {
  const { app, newDevice, latchkey } = await openExpress(t);
  const devices = [newDevice(), newDevice(), newDevice()];
  for (const device of devices) await device.send("POST", "/login/ann");
  const other = newDevice();
  await other.send("POST", "/login/bob");
  const writes = devices.flatMap((device) =>
    Array.from({ length: 20 }, (_, n) => newDevice(device.cookie).send("POST", `/keys/${n}`)),
  );
  const logout = devices[0]?.send("POST", "/logout-everywhere");
  await Promise.all([...writes, logout]);
  for (const device of devices) assert.equal((await device.data()).userId, undefined);
  assert.equal((await other.data()).userId, "bob");
  const { sessions } = await latchkey.sessions.listUserSessions({ app, userId: "ann" });
  assert.deepEqual(sessions, []);
});

test("a logout ends the session", async (t) => {
  const { app, newDevice, latchkey } = await openExpress(t);
  const device = newDevice();
  await device.send("POST", "/login/ann");
  const token = device.token();
  await device.send("POST", "/logout");
  await assert.rejects(latchkey.sessions.getSession({ app, token }), { reason: "NOT_FOUND" });
});

test("the app's own page for a save that failed is what the visitor sees", async (t) => {
  const open = await openStore(t);
  const newDevice = await openApp(t, open);
  await open.latchkey.sessions.setAppPolicy({ app: open.app, policy: { callerTokens: true } });
  open.latchkey.close();
  const { status, text } = await newDevice().send("POST", "/save-or-say");
  assert.deepEqual([status, text], [503, "sorry"]);
});

test("changes inside a value are kept, and a nested logout logs out", async (t) => {
  const { newId, get, set } = promised(await openStore(t));
  const id = newId();
  await set(id, dataOf({ cart: ["tea"], passport: { user: "ann" } }));
  const read = ((await get(id)) ?? dataOf({})) as never as { cart: string[]; passport: object };
  read.cart.push("milk");
  Reflect.deleteProperty(read.passport, "user");
  await set(id, read as never);
  const { cookie: _, ...found } = (await get(id)) ?? dataOf({});
  assert.deepEqual(found, { cart: ["tea", "milk"], passport: {} });
});

test("values are kept as JSON.stringify has them, also what Latchkey cannot say", async (t) => {
  const { newId, get, set } = promised(await openStore(t));
  const id = newId();
  const deep = JSON.parse(`${'{"a":'.repeat(40)}1${"}".repeat(40)}`) as unknown;
  const content = {
    nothing: null,
    nan: Number.NaN,
    half: "\ud83d",
    inner: JSON.parse('{"__proto__":1,"x":2}') as unknown,
    at: new Date(0),
    like: { $json: "text" },
    deep,
  };
  await set(id, dataOf(content));
  const { cookie: _, ...found } = (await get(id)) ?? dataOf({});
  const sorted = (value: object) => Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  const expected = JSON.parse(JSON.stringify(content)) as object;
  assert.equal(JSON.stringify(sorted(found)), JSON.stringify(sorted(expected)));
});

test("a user is who a number, a bigint, a UUID or an ObjectId names; anything else is refused", async (t) => {
  const open = await openStore(t);
  const { newId, set } = promised(open);
  const hex = "65f0c0ffee65f0c0ffee65f0";
  const ids: readonly (readonly [unknown, string])[] = [
    [42, "42"],
    [0, "0"],
    ["ann", "ann"],
    [{ toHexString: () => hex, toJSON: () => hex }, hex],
  ];
  for (const [userId, name] of ids) {
    await set(newId(), dataOf({ userId }));
    const { app } = open;
    const { deletedCount } = await open.latchkey.sessions.deleteUserSessions({ app, userId: name });
    assert.equal(deletedCount, 1n, name);
  }
  for (const userId of [
    "",
    1.5,
    Number.NaN,
    true,
    ["ann"],
    { name: "ann" },
    "a\nb",
    "x".repeat(129),
  ]) {
    await assert.rejects(set(newId(), dataOf({ userId })), /user's id/, String(userId));
  }
});

test("a cookie's lifetime is rounded to what Latchkey can, and an expired one ends the session", async (t) => {
  const open = await openStore(t);
  const { newId, get, set, length } = promised(open);
  const { app } = open;
  const look = async () => (await open.latchkey.sessions.listSessions({ app })).sessions[0];
  const id = newId();
  const idleAfter = async (maxAge: number | undefined) => {
    await set(id, dataOf({ n: 1 }, maxAge));
    return (await look())?.idleTtl?.seconds;
  };
  assert.equal(await idleAfter(1_500), 10n);
  assert.equal(await idleAfter(60_500), 61n);
  assert.equal(await idleAfter(8_000 * 365 * 86_400_000), 2_147_483_647n);
  assert.equal(await idleAfter(undefined), 7_200n);
  assert.ok(await get(id));
  await idleAfter(0);
  assert.equal(await get(id), undefined);
  await set(newId(), dataOf({ n: 1 }, -1));
  assert.equal(await length(), 0);
});

test("an account that may not change the policy is told the command, and nothing is saved", async (t) => {
  const { latchkey, app } = await openStore(t);
  const forbidden = async () => {
    throw new LatchkeyError(new ConnectError("not an Admin", Code.PermissionDenied));
  };
  const sessions = { ...latchkey.sessions, setAppPolicy: forbidden };
  const store = new LatchkeyStore({ latchkey: { ...latchkey, sessions }, app });
  const { newId, set } = promised({ latchkey, app, store });
  await assert.rejects(set(newId(), dataOf({ n: 1 })), (error: Error) => {
    assert.match(error.message, /grpcurl .*"callerTokens":true.*SetAppPolicy/);
    return true;
  });
  assert.deepEqual((await latchkey.sessions.listSessions({ app })).sessions, []);
});
