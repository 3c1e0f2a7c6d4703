import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { openGrpc } from "../../support/process/grpc-wire.js";
import { openHttp } from "../../support/process/http-wire.js";
import { startLoad } from "../../support/process/load.js";
import { denyUnanswered, type Model, settle } from "../../support/process/model.js";
import { startProgram } from "../../support/process/program.js";
import { copyProject, NPM_ENV } from "../../support/process/project.js";
import { FREE_PORTS, makeFolder, serverOf, startServer } from "../../support/process/server.js";
import { survey } from "../../support/process/survey.js";
import { done } from "../../support/process/wire.js";
import { createRandom, numberOf, seedOf } from "../../support/random.js";
import { holdGrpcCreate, holdHttpCreate, holdReadyz, watchHealth } from "./held.js";

const STOPPED = { status: 0, signal: null };

test("SIGTERM under load: what was carried out was answered, and is there after", async (t) => {
  const stops = numberOf("TEST_STOPS", 5);
  const seed = seedOf(t);
  const random = createRandom(seed);
  const path = join(await makeFolder(t), "latchkey.db");
  const model: Model = new Map();
  let answered = 0;

  let server = await startServer(t, { LATCHKEY_STORE: `sqlite:${path}` });
  for (let stop = 1; stop <= stops; stop++) {
    const load = startLoad(server, model, random);
    await load.more(random(400));
    assert.deepEqual(await server.stop(), STOPPED);
    const problems = await load.end;
    answered += load.answered();
    // A call without an answer must have been turned away, not half carried out.
    denyUnanswered(model);

    server = await startServer(t, { LATCHKEY_STORE: `sqlite:${path}` });
    const { found, problems: contradictions } = await survey(server, path, model, { reads: true });
    const all = [...problems, ...contradictions];
    if (all.length > 0) assert.fail(`TEST_SEED=${seed}, stop ${stop}:\n${all.join("\n")}`);
    settle(model, found);
  }
  assert.ok(answered > stops * 20, `only ${answered} calls were answered`);
});

test("a stop moves no deadline and loses no touch", async (t) => {
  const env = { LATCHKEY_STORE: `sqlite:${join(await makeFolder(t), "latchkey.db")}` };
  const server = await startServer(t, env);
  const http = openHttp(server.http);
  const grpc = openGrpc(server.grpc);
  const tokens: string[] = [];
  for (let n = 0; n < 20; n++) {
    const wire = n % 2 === 0 ? http : grpc;
    tokens.push(done(await wire.create(`user ${n}`, { n })).token);
  }
  for (const [n, token] of tokens.entries()) {
    const wire = n % 3 === 0 ? http : grpc;
    if (n % 5 === 0) done(await wire.update(token, { updated: true }));
    for (let read = 0; read < n; read++) done(await wire.read(token));
  }
  const before = await Promise.all(tokens.map(async (token) => done(await grpc.peek(token))));
  assert.ok(before.some(({ reads }) => reads === 20n));
  http.close();
  grpc.close();
  assert.deepEqual(await server.stop(), STOPPED);

  const restarted = openGrpc((await startServer(t, env)).grpc);
  t.after(() => restarted.close());
  const after = await Promise.all(tokens.map(async (token) => done(await restarted.peek(token))));
  assert.deepEqual(after, before);
});

test("a stopping server says so, and answers the calls that it accepted", async (t) => {
  const env = { LATCHKEY_STORE: `sqlite:${join(await makeFolder(t), "latchkey.db")}` };
  const server = await startServer(t, env);
  const overHttp = await holdHttpCreate(t, server.http, "held over HTTP");
  const overGrpc = await holdGrpcCreate(t, server.grpc, "held over gRPC");
  const readyz = await holdReadyz(t, server.http);
  const health = watchHealth(t, server.grpc);
  assert.deepEqual(await health.statuses(1), ["SERVING"]);

  server.signal("SIGTERM");
  await server.logged("stopping");
  assert.deepEqual(await health.statuses(2), ["SERVING", "NOT_SERVING"]);
  assert.equal(await readyz.finish(), 503);
  const newcomer = openHttp(server.http);
  assert.equal(await newcomer.create("late", {}), "unanswered");
  newcomer.close();

  const tokens = [(await overHttp.finish()).token, await overGrpc.finish()];
  health.end();
  assert.deepEqual(await server.end, STOPPED);
  assert.equal(server.output.stderr, "");

  const restarted = openGrpc((await startServer(t, env)).grpc);
  t.after(() => restarted.close());
  const users = [];
  for (const token of tokens) users.push(done(await restarted.peek(token)).userId);
  assert.deepEqual(users, ["held over HTTP", "held over gRPC"]);
  assert.equal((await restarted.list()).length, 2);
});

test("LATCHKEY_DRAIN: a stopping server says so, and takes calls of new connections meanwhile", async (t) => {
  const server = await startServer(t, { LATCHKEY_STORE: "memory:", LATCHKEY_DRAIN: "600" });
  const health = watchHealth(t, server.grpc);
  assert.deepEqual(await health.statuses(1), ["SERVING"]);
  server.signal("SIGTERM");
  assert.deepEqual(await health.statuses(2), ["SERVING", "NOT_SERVING"]);
  assert.equal((await fetch(`http://${server.http}/readyz`)).status, 503);
  for (const wire of [openHttp(server.http), openGrpc(server.grpc)]) {
    const { token } = done(await wire.create("late", {}));
    done(await wire.read(token));
    wire.close();
  }
  health.end();
  // The second signal does not wait for the rest of the time.
  assert.deepEqual(await server.stop(), { status: 1, signal: null });
});

test("LATCHKEY_DRAIN: a server ends by itself when the time is over", async (t) => {
  const server = await startServer(t, { LATCHKEY_STORE: "memory:", LATCHKEY_DRAIN: "1" });
  const signalled = performance.now();
  assert.deepEqual(await server.stop(), STOPPED);
  assert.ok(performance.now() - signalled >= 1_000);
});

test("an answer of a stopping server tells the client to close the connection", async (t) => {
  const server = await startServer(t, { LATCHKEY_STORE: "memory:" });
  const held = await holdHttpCreate(t, server.http, "held");
  server.signal("SIGTERM");
  await server.logged("stopping");
  const { saysClose } = await held.finish();
  assert.deepEqual(await server.end, STOPPED);
  // Else a client that keeps the connection holds the stop up for all of its grace.
  assert.equal(saysClose, true);
});

for (const second of ["SIGTERM", "SIGINT"] as const) {
  test(`a second signal, ${second}, does not wait for accepted calls`, async (t) => {
    const server = await startServer(t, { LATCHKEY_STORE: "memory:" });
    await holdHttpCreate(t, server.http, "held");
    server.signal("SIGTERM");
    await server.logged("stopping");
    assert.deepEqual(await server.stop(second), { status: 1, signal: null });
  });
}

test("SIGINT stops as SIGTERM does", async (t) => {
  const env = { LATCHKEY_STORE: `sqlite:${join(await makeFolder(t), "latchkey.db")}` };
  const server = await startServer(t, env);
  const held = await holdHttpCreate(t, server.http, "held");
  server.signal("SIGINT");
  await server.logged("stopping");
  const { token } = await held.finish();
  assert.deepEqual(await server.end, STOPPED);

  const restarted = openGrpc((await startServer(t, env)).grpc);
  t.after(() => restarted.close());
  assert.equal(done(await restarted.peek(token)).userId, "held");
});

test("npm start builds, passes SIGTERM on, and ends when the server has", async (t) => {
  const cwd = await copyProject(t);
  const env = {
    ...NPM_ENV,
    ...FREE_PORTS,
    LATCHKEY_STORE: `sqlite:${join(await makeFolder(t), "latchkey.db")}`,
  };
  const npm = startProgram(t, { argv: ["npm", "start", "--silent"], cwd, env, hasChildren: true });
  const server = await serverOf(npm, env);
  const held = await holdHttpCreate(t, server.http, "held");
  server.signal("SIGTERM");
  await server.logged("stopping");
  await held.finish();
  assert.deepEqual(await server.end, STOPPED);
  assert.equal(server.log().at(-1)?.["msg"], "stopped");
});
