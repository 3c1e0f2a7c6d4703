import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { createByteBudget } from "../../../src/transports/call/byte-budget.js";
import { withGuarded } from "../../support/accounts.js";
import { eventually } from "../../support/eventually.js";
import { withListeners } from "../../support/transports/listeners.js";

const MIB = 2 ** 20;
const RPC = "/latchkey.session.v1.SessionService/GetSession";

/** A request whose body has `announced` bytes, or comes in chunks; of it so many are sent. */
interface Beginning {
  readonly path: string;
  readonly type?: string;
  readonly announced: number | "chunks";
  readonly sent: number;
  readonly authorization?: string;
}

/** Begins a request; `answer` is what came until its connection closed or its answer was whole. */
function begin(address: string, { path, type, announced, sent, authorization }: Beginning) {
  const [host = "", port] = address.split(":");
  const isChunked = announced === "chunks";
  const head = [
    `POST ${path} HTTP/1.1`,
    "host: localhost",
    `content-type: ${type ?? "application/json"}`,
    isChunked ? "transfer-encoding: chunked" : `content-length: ${announced}`,
    ...(authorization === undefined ? [] : [`authorization: ${authorization}`]),
    "\r\n",
  ].join("\r\n");
  const body = Buffer.alloc(sent, " ");
  let socket: Socket | undefined;
  const answer = new Promise<string>((resolve, reject) => {
    socket = connect({ host, port: Number(port) }, () => {
      socket?.write(head);
      if (isChunked) socket?.write(`${sent.toString(16)}\r\n`);
      socket?.write(body);
      if (isChunked) socket?.write("\r\n0\r\n\r\n");
    });
    socket.on("error", reject).once("data", (bytes) => resolve(bytes.toString("latin1")));
  });
  answer.catch(() => {});
  return { answer, close: () => socket?.destroy() };
}

const REST = /^HTTP\/1\.1 503 .*retry-after: 1\r\n.*{"name":"overloaded",/s;
const RKE = /^HTTP\/1\.1 503 .*retry-after: 1\r\n.*{"error":true,"message":".*","code":503}/s;
const CONNECT = /^HTTP\/1\.1 429 .*retry-after: 1\r\n.*{"code":"resource_exhausted",/s;
const STREAM = /^HTTP\/1\.1 200 .*retry-after: 1\r\n.*{"error":{"code":"resource_exhausted",/s;
const GRPC_WEB = /^HTTP\/1\.1 200 .*grpc-status: 8\r\n.*retry-after: 1\r\n/s;

for (const announced of [50_000, "chunks"] as const) {
  for (const [path, type, refused] of [
    ["/shop/set/x", "application/json", REST],
    ["/shop/set/x", "text/plain", REST],
    ["/api/rke/encrypt", "application/json", RKE],
    [RPC, "application/json", CONNECT],
    [RPC, "application/connect+json", STREAM],
    [RPC, "application/grpc-web+proto", GRPC_WEB],
  ] as const) {
    test(`a body is refused for which there is no memory, and its connection serves on: ${path} ${type} ${announced}`, async () => {
      const budget = createByteBudget({ most: 60_000 });
      await withListeners({ budget }, async ({ http }) => {
        const first = begin(http, { path: "/shop/set/x", announced: 20_000, sent: 10 });
        await eventually("a body in hand", () => budget.held() === 20_000);
        const more = { path, type, announced, sent: 50_000 };
        const second = begin(http, more);
        assert.match(await second.answer, refused);
        second.close();
        await eventually("the first alone", () => budget.held() === 20_000);
        first.close();
        await eventually("nothing in hand", () => budget.held() === 0);
        const third = begin(http, more);
        assert.doesNotMatch(await third.answer, refused);
        third.close();
        await eventually("nothing in hand", () => budget.held() === 0);
      });
    });
  }
}

test("a packed body counts by what it may unpack to", async () => {
  const budget = createByteBudget({ most: 100_000 });
  await withListeners({ budget }, async ({ http }) => {
    for (const [size, status] of [
      [10, 400],
      [1_000_000, 429],
    ] as const) {
      const response = await fetch(`http://${http}${RPC}`, {
        method: "POST",
        headers: { "content-type": "application/json", "content-encoding": "gzip" },
        body: gzipSync(`{"app":"${"x".repeat(size)}"}`),
      });
      assert.equal(response.status, status);
      await response.text();
    }
    await eventually("nothing in hand", () => budget.held() === 0);
  });
});

test("an account has 64 MiB in hand on all its connections, and another its own", () =>
  withGuarded(async ({ http, ann, bob }) => {
    const path = "/api/rke/encrypt";
    const half = { path, announced: MIB, sent: 10, authorization: ann.bearer };
    const held = Array.from({ length: 64 }, () => begin(http, half));
    const whole = { path, announced: MIB, sent: MIB };
    try {
      await eventually("an account with all in hand", async () => {
        const next = begin(http, { ...whole, authorization: ann.bearer });
        const isRefused = RKE.test(await next.answer);
        next.close();
        return isRefused;
      });
      const other = begin(http, { ...whole, authorization: bob.bearer });
      assert.match(await other.answer, /^HTTP\/1\.1 4/);
      other.close();
    } finally {
      for (const one of held) one.close();
    }
  }));
