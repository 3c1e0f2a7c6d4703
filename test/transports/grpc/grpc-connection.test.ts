import assert from "node:assert/strict";
import {
  connect as connectHttp2,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { type AddressInfo, connect, createServer } from "node:net";
import { test } from "node:test";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { withListeners } from "../../support/transports/listeners.js";

/** The frame of an empty message. */
const EMPTY = Buffer.alloc(5);
const HEALTH = "/grpc.health.v1.Health";

const same = (bytes: Buffer) => bytes;

function request(path: string, metadata: OutgoingHttpHeaders = {}): OutgoingHttpHeaders {
  const type = { "content-type": "application/grpc", te: "trailers" };
  return { ":method": "POST", ":path": path, ...type, ...metadata };
}

test("a call with more than 64 KiB of metadata fails alone, and clients are told the limit", () =>
  withListeners({}, async ({ grpc }) => {
    // What a client that heeds no limit sends.
    const session = connectHttp2(`http://${grpc}`, { maxSendHeaderBlockLength: 2 ** 20 });
    const settings = new Promise<number | undefined>((resolve) => {
      session.once("remoteSettings", ({ maxHeaderListSize }) => resolve(maxHeaderListSize));
    });
    const ended = new Promise<never>((_, reject) => {
      session.once("error", reject).once("goaway", (code) => reject(new Error(`GOAWAY ${code}`)));
    });
    ended.catch(() => {});
    const call = (path: string, metadata?: OutgoingHttpHeaders) => {
      const stream = session.request(request(path, metadata));
      stream.end(EMPTY);
      return stream;
    };
    const answer = (path: string, metadata?: OutgoingHttpHeaders) =>
      new Promise<IncomingHttpHeaders | number | undefined>((resolve) => {
        const stream = call(path, metadata).on("error", () => {});
        stream
          .once("response", resolve)
          .once("close", () => resolve(stream.rstCode))
          .resume();
      });
    try {
      const watch = call(`${HEALTH}/Watch`);
      const statuses: Buffer[] = [];
      await Promise.race([
        ended,
        new Promise((told) => watch.on("data", (s) => told(statuses.push(s)))),
      ]);
      assert.equal(await settings, 65_536);
      const large = { a: "x".repeat(40_000), b: "y".repeat(40_000) };
      assert.equal(await Promise.race([ended, answer(`${HEALTH}/Check`, large)]), 11); // ENHANCE_YOUR_CALM
      const fits = { a: "x".repeat(30_000), b: "y".repeat(30_000) };
      const served = await Promise.race([ended, answer(`${HEALTH}/Check`, fits)]);
      assert.ok(typeof served === "object" && Number(served[":status"]) === 200);
      assert.equal(watch.closed, false);
    } finally {
      session.destroy();
    }
  }));

/** A PING frame's length, type and flags: one that asks, not one that answers. */
const PING = Buffer.from([0, 0, 8, 6, 0]);

test("a client that pings all the time while a call is under way is not sent away", () =>
  withListeners({}, async ({ grpc }) => {
    const [host = "", port] = grpc.split(":");
    let pings = 0;
    let connections = 0;
    let enough = () => {};
    const pinged = new Promise<void>((resolve) => {
      enough = resolve;
    });
    const proxy = createServer((socket) => {
      connections++;
      const server = connect({ host, port: Number(port) });
      server.on("error", () => socket.destroy()).on("close", () => socket.destroy());
      socket.on("error", () => server.destroy()).on("close", () => server.destroy());
      server.pipe(socket);
      socket.on("data", (bytes: Buffer) => {
        for (let at = bytes.indexOf(PING); at >= 0; at = bytes.indexOf(PING, at + 1)) pings++;
        server.write(bytes);
        if (pings >= 100) enough();
      });
    });
    await new Promise<void>((listening) => proxy.listen(0, "127.0.0.1", listening));
    const client = new Client(
      `127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      credentials.createInsecure(),
      // Far more often than the clients' 10 s.
      { "grpc.keepalive_time_ms": 5, "grpc.keepalive_timeout_ms": 5_000 },
    );
    try {
      const watch = client.makeServerStreamRequest(`${HEALTH}/Watch`, same, same, Buffer.alloc(0));
      const failed = new Promise<never>((_, reject) => watch.once("error", reject));
      watch.on("data", () => {});
      await Promise.race([failed, pinged]);
      await new Promise<void>((resolve, reject) => {
        const done = (error: ServiceError | null) => (error ? reject(error) : resolve());
        client.makeUnaryRequest(`${HEALTH}/Check`, same, same, Buffer.alloc(0), done);
      });
      assert.equal(connections, 1);
      failed.catch((error: ServiceError) => assert.equal(error.code, status.CANCELLED));
      watch.cancel();
    } finally {
      client.close();
      proxy.close();
    }
  }));
