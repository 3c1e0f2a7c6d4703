import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { openGrpc } from "../../support/process/grpc-wire.js";
import { openHttp } from "../../support/process/http-wire.js";
import { parseLog, type Server, startServer } from "../../support/process/server.js";
import { APP, done } from "../../support/process/wire.js";

const SECRET = "a word of the session's data";

/** Calls of every wire, good and bad; answers the tokens that were sent or answered. */
async function callEverything(t: TestContext, server: Server): Promise<string[]> {
  const grpc = openGrpc(server.grpc);
  const http = openHttp(server.http);
  t.after(() => {
    grpc.close();
    http.close();
  });
  const tokens = ["A".repeat(64), `${"B".repeat(63)}!`];
  for (const wire of [grpc, http]) {
    const { token } = done(await wire.create("ann", { SECRET }));
    tokens.push(token);
    done(await wire.read(token));
    done(await wire.update(token, { SECRET, more: 1 }));
    done(await wire.delete(token));
    assert.equal(await wire.read(token), "absent");
  }
  const statuses: number[] = [];
  const send = async (path: string, init: RequestInit = {}) => {
    const answer = await fetch(`http://${server.http}${path}`, init);
    await answer.text();
    statuses.push(answer.status);
  };
  const json = { "content-type": "application/json" };
  const rpc = "/latchkey.session.v1.SessionService/GetSession";
  for (const token of tokens) {
    await send(`/${APP}/get/${token}`);
    await send(`/${APP}/nothing/${token}?token=${token}`);
    await send(`/${APP}/get/${token}%ZZ`);
    await send(`/${APP}/set/${token}`, { method: "POST", headers: json, body: `{"${token}` });
    await send(`/${APP}/set/${token}`, { method: "POST", headers: json, body: "x".repeat(70_000) });
    await send(rpc, { method: "POST", headers: json, body: JSON.stringify({ app: APP, token }) });
    await send(rpc, { method: "POST", headers: json, body: `{"app":"${APP}","token":"${token}"` });
    await send(rpc, { method: "POST", headers: json, body: `{"app":"${APP}","${token}":1}` });
  }
  // The calls were what they are meant to be: answered, refused, not found.
  assert.deepEqual([...new Set(statuses)].sort(), [200, 400, 404, 413]);
  return tokens;
}

test("at info, no call is logged", async (t) => {
  const server = await startServer(t, { LATCHKEY_STORE: "memory:" });
  await callEverything(t, server);
  await server.stop();
  assert.deepEqual(
    server
      .log()
      .map(
        ({ listener, reason, sqlite, msg }) => listener ?? reason ?? (sqlite ? "versions" : msg),
      ),
    ["grpc", "http", "command", "versions", "SIGTERM", "stopped"],
  );
  assert.equal(server.output.stderr, "");
});

for (const level of ["debug", "trace"]) {
  test(`at ${level}, calls are logged as JSON lines, without tokens or data`, async (t) => {
    const env = { LATCHKEY_STORE: "memory:", LATCHKEY_LOG_LEVEL: level };
    const server = await startServer(t, env);
    const tokens = await callEverything(t, server);
    await server.stop();

    assert.equal(server.output.stderr, "");
    const lines = parseLog(server.output.stdout);
    for (const { time } of lines) assert.ok(!Number.isNaN(Date.parse(String(time))));
    const calls = lines.filter(({ msg }) => msg === "call answered");
    const transports = new Set(calls.map(({ transport }) => transport));
    assert.deepEqual([...transports].sort(), ["connect", "grpc", "http"]);
    assert.ok(calls.length >= tokens.length * 4);
    for (const word of [...tokens, SECRET]) assert.ok(!server.output.stdout.includes(word));
  });
}
