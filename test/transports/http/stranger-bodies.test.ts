import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { type Guarded, startGuarded } from "../../support/accounts.js";

let server: Guarded;
before(async () => {
  server = await startGuarded();
});
after(() => server.close());

/**
 * The first answer to a request whose body is begun and not ended; the connection is left open
 * until it is there.
 */
function begin(head: readonly string[], body: string | Buffer): Promise<string> {
  const [host = "", port] = server.http.split(":");
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect({ host, port: Number(port) }, () => {
      socket.write([...head, "host: localhost", "", ""].join("\r\n"));
      socket.write(body);
    });
    socket.on("error", reject).on("close", () => reject(new Error(`closed after ${answer}`)));
    socket.setEncoding("latin1").on("data", (text) => {
      answer += text;
      const [, length] = /^content-length: (\d+)\r$/im.exec(answer) ?? [];
      const start = answer.indexOf("\r\n\r\n") + 4;
      if (start === 3 || length === undefined || answer.length < start + Number(length)) return;
      socket.removeAllListeners("close").destroy();
      resolve(answer);
    });
  });
}

const RPC = "/latchkey.session.v1.SessionService";
const REST = /^HTTP\/1\.1 401 .*\r\n\r\n{"name":"unauthenticated","message":"the call needs /s;
const RKE = /^HTTP\/1\.1 401 .*\r\n\r\n{"error":true,"message":"the call needs .*"code":401}$/s;
const CONNECT = /^HTTP\/1\.1 401 .*\r\n\r\n{"code":"unauthenticated","message":"the call needs /s;
const STREAM = /^HTTP\/1\.1 200 .*{"error":{"code":"unauthenticated","message":"the call needs /s;
const GRPC_WEB = /^HTTP\/1\.1 200 .*grpc-status: 16\r\n.*grpc-status-details-bin: \w/s;

/** A body for each API, and how a stranger is refused there. */
const CASES = [
  ["POST", "/shop/set/token", "application/json", REST],
  ["POST", "/shop/set/token", "text/plain", REST],
  ["PUT", "/shop/create/ann?ip=::1", "application/json", REST],
  ["DELETE", "/shop/killall", "application/json", REST],
  ["GET", "/shop/get/token", "application/json", REST],
  ["POST", "/livez", "application/json", REST],
  ["POST", "/nowhere", "application/json", REST],
  ["POST", "/api/rke/encrypt", "application/json", RKE],
  ["POST", "/api/rke/nowhere", "application/json", RKE],
  ["POST", `${RPC}/GetSession`, "application/json", CONNECT],
  ["POST", `${RPC}/GetSession`, "application/proto", CONNECT],
  ["POST", `${RPC}/GetSession`, "text/plain", CONNECT],
  ["POST", `${RPC}/Nothing`, "application/json", CONNECT],
  ["POST", `${RPC}/WatchSessions`, "application/connect+json", STREAM],
  ["POST", `${RPC}/WatchSessions`, "application/connect+proto", STREAM],
  ["POST", `${RPC}/GetSession`, "application/grpc-web+proto", GRPC_WEB],
  ["POST", `${RPC}/WatchSessions`, "application/grpc-web+json", GRPC_WEB],
  ["POST", `${RPC}/GetSession`, "application/grpc-web-text", GRPC_WEB],
] as const;

const LENGTHS = {
  "a length": { header: "content-length: 1000000", body: "{" },
  chunks: { header: "transfer-encoding: chunked", body: "1\r\n{\r\n" },
};

for (const [method, path, type, expected] of CASES) {
  for (const [by, { header, body }] of Object.entries(LENGTHS)) {
    test(`a stranger is refused before the body has come: ${method} ${path} ${type}, by ${by}`, async () => {
      const answer = await begin(
        [`${method} ${path} HTTP/1.1`, `content-type: ${type}`, header],
        body,
      );
      assert.match(answer, expected);
      assert.match(answer, /\r\nwww-authenticate: Bearer /);
    });
  }
}

test("a stranger's body is neither unpacked nor decoded: a broken one is refused like a good one", async () => {
  const bomb = gzipSync("[".repeat(2 ** 20));
  for (const body of [bomb, Buffer.from("no gzip"), gzipSync("{}")]) {
    const answer = await begin(
      [
        `POST ${RPC}/CreateSession HTTP/1.1`,
        "content-type: application/json",
        "content-encoding: gzip",
        `content-length: ${body.length}`,
      ],
      body,
    );
    assert.match(answer, CONNECT);
  }
});

test("wrong credentials are refused before the body has come, too", async () => {
  for (const authorization of [`${server.ann.bearer}x`, "Basic YW5uOng=", "nonsense"]) {
    const answer = await begin(
      [
        `POST ${RPC}/GetSession HTTP/1.1`,
        "content-type: application/json",
        "content-length: 1000000",
        `authorization: ${authorization}`,
      ],
      "{",
    );
    assert.match(answer, /^HTTP\/1\.1 401 /, authorization);
  }
});

test("a stranger's connection serves on once the body has come", async () => {
  const [host = "", port] = server.http.split(":");
  const socket = connect({ host, port: Number(port) });
  const answers: string[] = [];
  const next = () =>
    new Promise<string>((resolve, reject) => {
      socket.once("error", reject).once("data", (bytes) => resolve(bytes.toString()));
    });
  try {
    socket.write("POST /shop/set/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 200000\r\n\r\n");
    answers.push(await next());
    socket.write("x".repeat(200_000));
    socket.write("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n");
    answers.push(await next());
  } finally {
    socket.destroy();
  }
  assert.deepEqual(
    answers.map((answer) => answer.slice(9, 12)),
    ["401", "200"],
  );
});

test("refused strangers are counted", async () => {
  await begin(["POST /shop/set/x HTTP/1.1", "content-length: 1000000"], "{");
  await begin([`POST ${RPC}/GetSession HTTP/1.1`, "content-length: 1000000"], "{");
  const response = await fetch(`http://${server.http}/metrics`, {
    headers: { authorization: server.ann.bearer },
  });
  const text = await response.text();
  for (const transport of ["http", "connect"]) {
    const labels = `transport="${transport}",method="unknown",code="UNAUTHENTICATED"`;
    assert.match(text, new RegExp(`latchkey_calls_total\\{${labels}\\} [1-9]`));
  }
});
