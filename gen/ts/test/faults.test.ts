import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, type TestContext, test } from "node:test";
import { eventually } from "../../../test/support/eventually.js";
import { startServer } from "../../../test/support/process/server.js";
import { parseAddress } from "../src/address.js";
import { Code, createLatchkey, LatchkeyError } from "../src/index.js";
import { createQueue } from "../src/queue.js";
import { openMiddlebox } from "./middlebox.js";

const server = startServer({ after }, { LATCHKEY_STORE: "memory:" });

/** A session that is read through a middlebox. */
async function openFaulty(t: TestContext) {
  const box = await openMiddlebox(t, (await server).grpc);
  const latchkey = createLatchkey({ address: box.address });
  t.after(() => latchkey.close());
  const app = `u-${randomUUID().slice(0, 8)}`;
  const { token } = await latchkey.sessions.createSession({ app, userId: "ann" });
  const get = () => latchkey.sessions.getSession({ app, token });
  const update = () => latchkey.sessions.updateSession({ app, token, data: { n: 1 } });
  return { box, latchkey, get, update };
}

test("calls on a connection that was forgotten move to another within their deadline", async (t) => {
  const { box, get, update } = await openFaulty(t);
  box.forget();
  await Promise.all([get(), update(), get()]);
  assert.equal(box.count(), 2);
});

test("calls whose connection is cut are made on another", async (t) => {
  const { box, get, update } = await openFaulty(t);
  const calls = [get(), update()];
  box.cut();
  await Promise.all(calls);
});

test("where nothing listens a call fails long before its deadline, and tells no address but in its cause", async (t) => {
  const { box, get } = await openFaulty(t);
  await box.close();
  const start = performance.now();
  const error = await get().catch((error: unknown) => error);
  assert.ok(performance.now() - start < 2_500);
  assert.ok(error instanceof LatchkeyError);
  assert.equal(error.code, Code.Unavailable);
  assert.equal(error.message, "Latchkey cannot be reached");
  assert.doesNotMatch(String(error.stack).split("\n")[0] ?? "", /\d+\.\d+\.\d+\.\d+|:\d+/);
  assert.match(String((error.cause as Error).cause), new RegExp(box.address));
});

test("of a host that is silent one call is told in its deadline, the next at once, and it is found back", async (t) => {
  const { box, get } = await openFaulty(t);
  box.silence(true);
  await assert.rejects(get(), LatchkeyError);
  const start = performance.now();
  await assert.rejects(get(), { code: Code.Unavailable, message: /does not answer for now/ });
  assert.ok(performance.now() - start < 500);
  box.silence(false);
  await eventually("the answer", () => get().then(Boolean, () => false));
});

test("5,000 calls at once on one connection are all answered", async (t) => {
  const latchkey = createLatchkey({ address: (await server).grpc });
  t.after(() => latchkey.close());
  const request = { app: "shop", activeWithin: { seconds: 60n } };
  const call = () => latchkey.sessions.countActiveUsers(request, { timeoutMs: 240_000 });
  const answers = await Promise.allSettled(Array.from({ length: 5_000 }, call));
  const failures = answers.filter(({ status }) => status === "rejected");
  assert.deepEqual(failures.slice(0, 3), []);
});

test("a queue lets so many in, in order, and forgets who gave up", async () => {
  const queue = createQueue(1);
  const leave = await queue.enter(0, undefined);
  const abort = new AbortController();
  const given = queue.enter(0, abort.signal);
  const late = queue.enter(1, undefined);
  const next = queue.enter(0, undefined);
  abort.abort();
  assert.equal(await given, undefined);
  assert.equal(await late, undefined);
  leave?.();
  leave?.();
  assert.equal(typeof (await next), "function");
  assert.equal(await queue.enter(1, undefined), undefined);
});

test("an address is a host and a port, as a URL or not, and anything else is refused at once", async (t) => {
  const plain = { target: "localhost:50051", isTls: undefined };
  assert.deepEqual(parseAddress("localhost:50051", "grpc"), plain);
  assert.deepEqual(parseAddress("http://localhost:50051", "grpc"), { ...plain, isTls: false });
  assert.deepEqual(parseAddress("https://localhost:50051/", "connect"), { ...plain, isTls: true });
  assert.equal(parseAddress("[::1]:50051", "grpc").target, "[::1]:50051");
  assert.equal(parseAddress("unix:/run/latchkey", "grpc").target, "unix:/run/latchkey");
  for (const address of ["localhost", "", "http://localhost", "h:0", "h:70000", "redis://h:1"]) {
    assert.throws(() => createLatchkey({ address }), /HOST:PORT/, address);
  }
  for (const address of ["unix:/run/latchkey", "http://localhost:1/path", "::1:50051"]) {
    assert.throws(() => createLatchkey({ address, transport: "connect" }), /HOST:PORT/, address);
  }
  assert.throws(() => createLatchkey({ address: "http://h:1", tls: {} }), /asks? for TLS/);
  const { grpc, http } = await server;
  for (const [transport, at] of [["grpc", grpc] as const, ["connect", http] as const]) {
    const latchkey = createLatchkey({ address: `http://${at}`, transport });
    t.after(() => latchkey.close());
    await latchkey.sessions.createSession({ app: "shop", userId: "ann" });
  }
});
