import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { eventually } from "../../support/eventually.js";
import type { Rest } from "../../support/transports/rest.js";
import { withRest } from "../../support/transports/rest-trial.js";
import { SECOND, STORES } from "../../support/transports/server.js";
import { openWire, withWires } from "../../support/transports/wires.js";

/** The metrics, each by its name and labels. */
async function readMetrics(rest: Rest): Promise<Map<string, number>> {
  const { status, headers, text } = await rest.call("GET", "/metrics");
  assert.equal(status, 200);
  assert.match(headers["content-type"] ?? "", /^text\/plain; version=0\.0\.4/);
  return new Map(
    text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]),
  );
}

const calls = (transport: string, method: string, code: string) =>
  `latchkey_calls_total{transport="${transport}",method="${method}",code="${code}"}`;
const timed = (transport: string, method: string) =>
  `latchkey_call_seconds_count{transport="${transport}",method="${method}"}`;

for (const store of STORES) {
  test(`the metrics count calls of every wire by method and code (${store})`, () =>
    withRest(store, ({ rest, server, create, text }) =>
      withWires(server, async (wires) => {
        const name = "latchkey.session.v1.SessionService/GetSession";
        const token = await create("ann?ip=::1");
        await text("GET", `/shop/get/${token}`);
        await text("GET", `/shop/get/${token}`);
        await rest.call("GET", "/shop/get/x");
        for (const wire of wires) {
          const client = wire.client(SessionService);
          await client.getSession({ app: "shop", token });
          await assert.rejects(client.getSession({ app: "shop", token: "x".repeat(64) }));
          await assert.rejects(client.getSession({ app: "shop", token: "" }));
        }
        const metrics = await readMetrics(rest);
        assert.equal(metrics.get(calls("http", "create", "OK")), 1);
        assert.equal(metrics.get(calls("http", "get", "OK")), 2);
        assert.equal(metrics.get(calls("http", "get", "INVALID")), 1);
        assert.equal(metrics.get(timed("http", "get")), 3);
        for (const code of ["OK", "NOT_FOUND", "INVALID"]) {
          assert.equal(metrics.get(calls("grpc", name, code)), 1, code);
          // Connect in JSON and in binary, and gRPC-Web.
          assert.equal(metrics.get(calls("connect", name, code)), 3, code);
        }
        assert.equal(metrics.get(timed("grpc", name)), 3);
      }),
    ));

  test(`the metrics show the sessions of the store, and none of their secrets (${store})`, () =>
    withRest(store, async ({ rest, create, text }) => {
      const tokens = await Promise.all([1, 2, 3].map(() => create("secret-user?ip=192.0.2.99")));
      assert.equal((await readMetrics(rest)).get("latchkey_store_sessions"), 3);
      await text("DELETE", `/shop/kill/${tokens[0]}`);
      assert.equal((await readMetrics(rest)).get("latchkey_store_sessions"), 2);
      const metrics = (await rest.call("GET", "/metrics")).text;
      for (const secret of [...tokens, "secret-user", "192.0.2.99"]) {
        assert.equal(metrics.includes(secret), false);
      }
    }));

  test(`the metrics count what the sweep removes (${store})`, () =>
    withRest(store, async ({ rest, create, clock }) => {
      await Promise.all([1, 2].map(() => create("ann?ip=::1&ttl=10")));
      await create("ann?ip=::1");
      clock.advance(10 * SECOND);
      // The sweep runs by itself about once a second of real time.
      await eventually("the sweep", async () => {
        return (await readMetrics(rest)).get("latchkey_store_swept_total") === 2;
      });
      assert.equal((await readMetrics(rest)).get("latchkey_store_sessions"), 1);
    }));
}

test("the metrics show the commits of SQLite and the size of its log", () =>
  withRest("sqlite", async ({ rest, server }) => {
    const wire = openWire("gRPC", server);
    try {
      // Over one connection, so that many arrive in one turn of the event loop.
      const client = wire.client(SessionService);
      const create = () => client.createSession({ app: "shop", userId: "ann" });
      await Promise.all(Array.from({ length: 50 }, create));
    } finally {
      wire.close();
    }
    const metrics = await readMetrics(rest);
    const commits = metrics.get("latchkey_store_commit_writes_count") ?? 0;
    assert.equal(metrics.get("latchkey_store_commit_writes_sum"), 50);
    assert.ok(commits > 0 && commits < 50, "no writes shared a commit");
    assert.equal(metrics.get("latchkey_store_commit_seconds_count"), commits);
    assert.ok((metrics.get("latchkey_store_commit_seconds_sum") ?? 0) > 0);
    assert.ok((metrics.get("latchkey_store_wal_bytes") ?? 0) > 0);
  }));

test("a store in memory has no log", () =>
  withRest("memory", async ({ rest, create }) => {
    await create("ann?ip=::1");
    assert.equal((await readMetrics(rest)).get("latchkey_store_wal_bytes"), 0);
  }));
