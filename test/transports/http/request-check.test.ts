import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { withListeners } from "../../support/transports/listeners.js";
import { openRest } from "../../support/transports/rest.js";
import { withServer } from "../../support/transports/server.js";

/** The whole answer to bytes that are sent as they are. */
function sendRaw(address: string, text: string): Promise<string> {
  const [host = "", port] = address.split(":");
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect({ host, port: Number(port) }, () => socket.write(text));
    socket.setEncoding("utf8").on("data", (part) => {
      answer += part;
    });
    socket.on("error", reject).on("close", () => resolve(answer));
  });
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
const bodyOf = (answer: string) => answer.slice(answer.indexOf("\r\n\r\n"));
const LAST = "connection: close\r\n\r\n";

const REPEATED = [
  ["PUT", "/shop/create/ann?ip=::1&ip=::2", "ip"],
  ["PUT", "/shop/create/ann?ip=::1&ttl=60&ttl=", "ttl"],
  ["PUT", "/shop/create/ann?ip=::1&no_resave=1&no%5Fresave=1", "no_resave"],
  ["GET", "/shop/get/x?a=1&b=2&a=1", "a"],
  ["POST", "/shop/set/x?a=1&a=2", "a"],
  ["GET", "/shop/activity?dt=60&dt=90", "dt"],
  ["GET", "/shop/soapp?dt=60&dt=90", "dt"],
  ["GET", "/shop/soid/ann?a&a", "a"],
  ["DELETE", "/shop/kill/x?a&a", "a"],
  ["DELETE", "/shop/killsoid/x?a&a", "a"],
  ["DELETE", "/shop/killall?a&a", "a"],
  ["GET", "/ping?a=&a=", "a"],
  ["GET", "/session?a=&a=", "a"],
  ["GET", "/api/rke/discover?domain=a.example&domain=b.example", "domain"],
  ["GET", "/api/rke/session?domain=a&wallet_path=b&wallet_path=c", "wallet_path"],
  ["GET", "/api/rke/sessions?a&a", "a"],
  ["GET", "/api/rke/session/delete?session_id=a&session_id=b", "session_id"],
  ["GET", "/api/rke/encrypt?plaintext=a&plaintext=b", "plaintext"],
  ["POST", "/api/rke/decrypt?nonce=a&nonce=b", "nonce"],
  ["POST", "/latchkey.session.v1.SessionService/GetSession?connect=v1&connect=v1", "connect"],
  ["GET", "/livez?a&a", "a"],
  ["GET", "/readyz?a&a", "a"],
  ["GET", "/metrics?a&a", "a"],
  ["GET", "/openapi.json?a&a", "a"],
  ["GET", "/nowhere?a&a", "a"],
] as const;

test("a query parameter that is repeated is refused with 400 that names it, on every path", () =>
  withServer("memory", async ({ http }) => {
    const rest = openRest(http);
    try {
      for (const [method, path, name] of REPEATED) {
        const { status, text } = await rest.send(method, path);
        assert.equal(status, 400, path);
        assert.equal(JSON.parse(text).message, `${name} must be given once`, path);
      }
      const document = JSON.parse((await rest.send("GET", "/openapi.json")).text);
      const paths = Object.keys(document.paths).map((path) => path.replace(/\{\w+\}/g, "x"));
      assert.ok(paths.length >= 16);
      for (const path of paths) {
        const method = REPEATED.find(([, one]) => {
          const [, , verb] = path.split("/");
          return one.split(/[/?]/)[2] === verb;
        })?.[0];
        const { status } = await rest.send(method ?? "GET", `${path}?twice=1&twice=2`);
        assert.equal(status, 400, path);
      }
      assert.equal((await rest.send("GET", "/ping?a=1&b=1&A=1")).status, 200);
    } finally {
      rest.close();
    }
  }));

describe("a request that names its host", () => {
  const cases = [
    ["twice", "GET /ping HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n", 400],
    [
      "twice, one of them foreign",
      "GET /ping HTTP/1.1\r\nhost: localhost\r\nHost: a.example\r\n",
      400,
    ],
    ["by a foreign URI", "GET http://a.example/ping HTTP/1.1\r\nhost: localhost\r\n", 403],
    [
      "by a foreign URI with its user",
      "GET http://localhost@a.example/ping HTTP/1.1\r\nhost: localhost\r\n",
      403,
    ],
    ["by a URI of another scheme", "GET ftp://localhost/ping HTTP/1.1\r\nhost: localhost\r\n", 400],
    ["by a URI of its own", "GET http://localhost/ping HTTP/1.1\r\nhost: a.example\r\n", 200],
    ["by a URI without a path", "GET http://localhost?a=1 HTTP/1.1\r\nhost: localhost\r\n", 404],
    ["once", "GET /ping HTTP/1.1\r\nhost: localhost:1\r\n", 200],
  ] as const;
  for (const [how, head, status] of cases) {
    test(`${how} is answered ${status}`, () =>
      withListeners({}, async ({ http }) => {
        assert.equal(statusOf(await sendRaw(http, head + LAST)), status);
      }));
  }

  test("and has two credentials is refused", () =>
    withListeners({}, async ({ http }) => {
      const two = "authorization: Bearer a\r\nAuthorization: Bearer b\r\n";
      const answer = await sendRaw(
        http,
        `GET /session HTTP/1.1\r\nhost: localhost\r\n${two}${LAST}`,
      );
      assert.equal(statusOf(answer), 400);
      assert.match(bodyOf(answer), /the header authorization must be given once/);
    }));
});

/** Sends a body without an end to its size, as most clients do: all of it before reading. */
async function sendBody(
  address: string,
  path: string,
  type: string,
  bytes: number,
  framing: "length" | "chunked",
) {
  const [host = "", port] = address.split(":");
  const socket = connect({ host, port: Number(port) });
  let answer = "";
  socket.setEncoding("utf8").on("data", (part) => {
    answer += part;
  });
  const failed = new Promise<never>((_, reject) => socket.once("error", reject));
  const write = (part: string | Buffer) =>
    Promise.race([failed, new Promise<void>((resolve) => socket.write(part, () => resolve()))]);
  const how = framing === "chunked" ? "transfer-encoding: chunked" : `content-length: ${bytes}`;
  await write(
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${type}\r\n${how}\r\n\r\n`,
  );
  for (let left = bytes; left > 0; ) {
    const part = Buffer.alloc(Math.min(left, 65_536), "a");
    left -= part.length;
    if (framing === "chunked") await write(`${part.length.toString(16)}\r\n`);
    await write(part);
    if (framing === "chunked") await write("\r\n");
  }
  if (framing === "chunked") await write("0\r\n\r\n");
  await write("GET /ping HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
  await Promise.race([failed, new Promise((resolve) => socket.once("close", resolve))]);
  return (answer.match(/HTTP\/1\.1 \d+/g) ?? []).map((line) => Number(line.slice(-3)));
}

for (const framing of ["length", "chunked"] as const) {
  for (const [path, type, status] of [
    ["/shop/set/x", "application/json", 413],
    ["/shop/set/x", "text/plain", 413],
    ["/api/rke/encrypt", "application/json", 413],
    ["/latchkey.session.v1.SessionService/GetSession", "application/json", 429],
    ["/latchkey.session.v1.SessionService/GetSession", "application/grpc-web+proto", 200],
    ["/nowhere", "application/json", 404],
  ] as const) {
    test(`a sender of 5 MB sees that it was too much, and its connection serves on: ${path} ${type}, ${framing}`, () =>
      withListeners({}, async ({ http }) => {
        assert.deepEqual(await sendBody(http, path, type, 5_000_000, framing), [status, 200]);
      }));
  }
}

test("gRPC-Web in Base64 is told that it is not served, and what is", () =>
  withListeners({}, async ({ http }) => {
    for (const type of ["application/grpc-web-text", "application/grpc-web-text+proto"]) {
      const answer = await fetch(`http://${http}/latchkey.session.v1.SessionService/GetSession`, {
        method: "POST",
        headers: { "content-type": type },
        body: "AAAAAAA=",
      });
      assert.equal(answer.headers.get("content-type"), type);
      assert.equal(answer.headers.get("grpc-status"), "12"); // UNIMPLEMENTED
      const message = decodeURIComponent(answer.headers.get("grpc-message") ?? "");
      assert.match(message, /grpc-web-text is not served: use application\/grpc-web\+proto/);
    }
  }));
