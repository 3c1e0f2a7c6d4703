import assert from "node:assert/strict";
import { constants } from "node:http2";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { status } from "@grpc/grpc-js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { eventually } from "../../support/eventually.js";
import { withListeners } from "../../support/transports/listeners.js";
import { openRest } from "../../support/transports/rest.js";
import { type TestServer, withServer } from "../../support/transports/server.js";
import { openWatcher } from "../../support/transports/watcher.js";
import { openWire, withWires } from "../../support/transports/wires.js";
import { openStalledHttp, openStalledWatches, startStallingProxy } from "./stalled-watches.js";

/** An answer yields after the first of these (ms), ends its stream after the second, and is cut with
 * it after the third. */
const [FIRST, REST, LAST] = [5_000, 55_000, 60_000];

type Metric = (name: string) => Promise<number>;

/** Runs `body` with a server that has sessions of 50 kB, and what its metrics say. */
const withSessions = (count: number, body: (server: TestServer, metric: Metric) => Promise<void>) =>
  withServer("memory", async (server) => {
    const wire = openWire("gRPC", server);
    const rest = openRest(server.http);
    const large = "x".repeat(50_000);
    try {
      const client = wire.client(SessionService);
      for (let n = 0; n < count; n++) {
        await client.createSession({ app: "shop", userId: "ann", data: { large } });
      }
      await body(server, async (name) => {
        const { text } = await rest.call("GET", "/metrics");
        const line = text.split("\n").find((one) => one.startsWith(`${name} `));
        return Number(line?.slice(name.length));
      });
    } finally {
      wire.close();
      rest.close();
    }
  });

const DROPPED = 'latchkey_watch_dropped_total{reason="unread"}';

test("over gRPC a watch whose answer waited 60 s unread ends with limit, told once it is read", () =>
  withSessions(1, async (server, metric) => {
    const stalled = await openStalledWatches(server.grpc, "shop", 1);
    try {
      await eventually("an answer", async () => (await metric("latchkey_watch_unread_bytes")) > 0);
      server.timers.pass(FIRST);
      server.timers.pass(REST - 1);
      assert.equal(await metric(DROPPED), 0);
      assert.equal(await metric("latchkey_watch_open"), 1);
      server.timers.pass(1);
      assert.equal(await metric(DROPPED), 1);
      await eventually("the end", async () => (await metric("latchkey_watch_open")) === 0);
      assert.equal(stalled.endings.length, 0);
      stalled.read();
      await eventually("the status", () => stalled.endings.length === 1);
      for (const ending of stalled.endings) {
        assert.equal(ending.status, `${status.RESOURCE_EXHAUSTED}`);
        assert.match(ending.message, /60 s.*resume from the last revision/);
      }
      assert.equal(await metric("latchkey_watch_unread_bytes"), 0);
    } finally {
      stalled.close();
    }
  }));

test("over gRPC a watch that is not read after its end is reset, and nothing of it is kept", () =>
  withSessions(1, async (server, metric) => {
    const stalled = await openStalledWatches(server.grpc, "shop", 2);
    try {
      await eventually("answers", async () => (await metric("latchkey_watch_open")) === 2);
      await eventually("answers", async () => (await metric("latchkey_watch_unread_bytes")) > 9e4);
      server.timers.pass(FIRST);
      server.timers.pass(REST);
      assert.notEqual(await metric("latchkey_watch_unread_bytes"), 0);
      server.timers.pass(LAST);
      await eventually("the resets", () => stalled.endings.length === 2);
      for (const { status, reset } of stalled.endings) {
        assert.equal(status, undefined);
        assert.equal(reset, constants.NGHTTP2_ENHANCE_YOUR_CALM);
      }
      await eventually("memory", async () => (await metric("latchkey_watch_unread_bytes")) === 0);
      assert.equal(await metric(DROPPED), 2);
    } finally {
      stalled.close();
    }
  }));

/** Lets time pass until a watch was ended of which an answer waits. */
const untilDropped = (server: TestServer, metric: Metric) =>
  eventually("the end of a watch", async () => {
    server.timers.pass(FIRST);
    server.timers.pass(REST);
    return (await metric(DROPPED)) === 1;
  });

/** More than the sockets' buffers hold on both sides. */
const MANY = 400;

for (const type of ["application/connect+proto", "application/grpc-web+proto"]) {
  test(`by ${type} a watch whose answer waited 60 s ends with limit, told once it is read`, () =>
    withSessions(MANY, async (server, metric) => {
      const socket = await openStalledHttp(server.http, "shop", type);
      try {
        await untilDropped(server, metric);
        await eventually("the end", async () => (await metric("latchkey_watch_open")) === 0);
        let text = "";
        socket.on("data", (bytes: Buffer) => {
          text = `${text.slice(-10_000)}${bytes.toString("latin1")}`;
        });
        socket.resume();
        await eventually("the end of the answer", () => text.endsWith("\r\n0\r\n\r\n"));
        assert.match(text, /resource_exhausted|grpc-status: 8/);
        assert.match(text, /resume from|resume%20from/);
      } finally {
        socket.destroy();
      }
    }));

  test(`by ${type} a watch that is not read after its end is cut, and nothing of it is kept`, () =>
    withSessions(MANY, async (server, metric) => {
      const socket = await openStalledHttp(server.http, "shop", type);
      try {
        await untilDropped(server, metric);
        assert.notEqual(await metric("latchkey_watch_unread_bytes"), 0);
        server.timers.pass(LAST);
        await eventually("memory", async () => (await metric("latchkey_watch_unread_bytes")) === 0);
        assert.equal(server.timers.count(), 0);
        assert.equal(await metric("latchkey_watch_open"), 0);
      } finally {
        socket.destroy();
      }
    }));
}

test("a connection that takes not even the reset of a watch is ended, with all of its watches", () =>
  withSessions(MANY, async (server, metric) => {
    const between = await startStallingProxy(server.grpc);
    const stalled = await openStalledWatches(between.address, "shop", 2, between.stall);
    try {
      await untilDropped(server, metric);
      server.timers.pass(LAST);
      assert.notEqual(await metric("latchkey_watch_unread_bytes"), 0);
      await eventually("memory", async () => {
        server.timers.pass(FIRST);
        return (await metric("latchkey_watch_unread_bytes")) === 0;
      });
      assert.equal(await metric("latchkey_watch_open"), 0);
      assert.equal(server.timers.count(), 0);
    } finally {
      stalled.close();
      between.close();
    }
  }));

test("the watches of an address are bounded over all wires, and one that ends makes room", () =>
  withListeners({ openWatches: { mostOfOne: 4 } }, (addresses) =>
    withWires(addresses, async (wires) => {
      const watchers = wires.map((wire) => openWatcher(wire, { app: "shop" }));
      for (const watcher of watchers) await watcher.caughtUp();
      for (const wire of wires) {
        const error = await openWatcher(wire, { app: "shop" }).ended;
        assert.equal(error?.code, Code.ResourceExhausted, wire.name);
        assert.match(error.message, /has 4 watches open/);
      }
      for (const [index, wire] of wires.entries()) {
        watchers[index]?.cut();
        await eventually("room for a watch", async () => {
          const again = openWatcher(wire, { app: "shop" });
          const first = await Promise.race([again.ended, again.caughtUp()]);
          again.cut();
          return first === undefined;
        });
      }
    }),
  ));
