import assert from "node:assert/strict";
import type { OutgoingHttpHeaders } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import fc from "fast-check";
import { isLoopback } from "../../../src/lib/host.js";
import { type ListenersOptions, withListeners } from "../../support/transports/listeners.js";
import { openRest, type Rest, type RestAnswer } from "../../support/transports/rest.js";

const APP = "https://app.example";
const RPC = "/latchkey.session.v1.SessionService/CreateSession";
const JSON_BODY = { content: '{"app":"shop","userId":"ann"}', type: "application/json" };

/** Runs `body` with a client of an HTTP listener; `port` is the listener's. */
async function withHttp(
  http: NonNullable<ListenersOptions["http"]>,
  body: (rest: Rest, port: number) => Promise<void>,
): Promise<void> {
  await withListeners({ http }, async (listeners) => {
    const rest = openRest(listeners.http);
    try {
      await body(rest, Number(listeners.http.replace(/.*:/, "")));
    } finally {
      rest.close();
    }
  });
}

function assertRefused({ status, text }: RestAnswer, setting: string, what: string): void {
  assert.equal(status, 403, what);
  const { name, message } = JSON.parse(text) as { name: string; message: string };
  assert.equal(name, "forbidden");
  assert.ok(message.includes(setting), message);
}

/** What a listener is bound to, its settings, and hosts with whether they are let in. */
const HOSTS: readonly [
  title: string,
  NonNullable<ListenersOptions["http"]>,
  accepted: readonly string[],
  refused: readonly string[],
][] = [
  [
    "a listener on loopback",
    {},
    ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "127.9.8.7", "[::1]", "[::1]:80"],
    [
      "evil.test",
      "evil.test:8080",
      "localhost.evil.test",
      "127.0.0.1.evil.test",
      "192.0.2.1",
      "0.0.0.0:8080",
      "[::]",
      "[::ffff:7f00:1]:8080",
      "[::1].evil.test",
      "localhost, evil.test",
      "localhost:80@evil.test",
    ],
  ],
  [
    "a listener on loopback with a host of its own",
    { hosts: ["sessions.example", "192.0.2.1"] },
    ["localhost", "127.0.0.1", "sessions.example:443", "Sessions.Example", "192.0.2.1:80"],
    ["evil.test", "a.sessions.example", "sessions.example.evil.test", "192.0.2.2"],
  ],
  [
    "a listener on every address",
    { address: "0.0.0.0:0" },
    ["localhost", "127.0.0.1", "192.0.2.1:8080", "[2001:db8::1]:8080", "0.0.0.0"],
    ["evil.test", "192.0.2.1.evil.test", "0x7f000001", "127.1"],
  ],
  [
    "a listener on every address with a name",
    { address: "0.0.0.0:0", hosts: ["sessions.example"] },
    ["sessions.example", "192.0.2.1", "localhost:8080"],
    ["evil.test"],
  ],
];

for (const [title, http, accepted, refused] of HOSTS) {
  test(`${title} accepts its hosts and refuses others, on every path`, () =>
    withHttp(http, async (rest) => {
      for (const path of ["/ping", "/livez", "/shop/killall", RPC, "/nowhere", "/%ff"]) {
        for (const host of accepted) {
          const { status } = await rest.call("GET", path, undefined, { host });
          assert.notEqual(status, 403, `${path} at ${host}`);
        }
        for (const host of refused) {
          const answer = await rest.call("GET", path, undefined, { host });
          assertRefused(answer, "LATCHKEY_HTTP_HOSTS", `${path} at ${host}`);
        }
      }
    }));
}

test("whatever the Host, it is let in only if it is ours", () =>
  withHttp({ hosts: ["sessions.example"] }, async (rest) => {
    const part = fc.constantFrom(
      "localhost",
      "127.0.0.1",
      "sessions.example",
      "evil.test",
      "[::1]",
    );
    const glue = fc.constantFrom(
      "",
      ".",
      ":",
      "@",
      ",",
      " ",
      "/",
      "#",
      "%00",
      ":80",
      "[",
      "]",
      "\\",
    );
    const host = fc
      .array(fc.oneof(part, glue, fc.stringMatching(/^[!-~]{1,5}$/)), { maxLength: 4 })
      .map((parts) => parts.join("").trim())
      .filter((header) => header !== ""); // The client would put its own in place.
    await fc.assert(
      fc.asyncProperty(host, async (header) => {
        const { status } = await rest.call("GET", "/ping", undefined, { host: header });
        // Ours by the reckoning of a URL parser, which is a browser's.
        const url = `http://${header}/`;
        const name = URL.canParse(url) && !/[@/#?\\]/.test(header) ? new URL(url).hostname : "";
        if (status === 200) assert.ok(isLoopback(name) || name === "sessions.example", header);
        else assert.equal(status, 403, header);
      }),
      { numRuns: 300 },
    );
  }));

test("only HTTP/1.0, as old probes speak it, is served without Host", () =>
  withHttp({}, async (_rest, port) => {
    assert.match(await exchange(port, "GET /ping HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 200 .*PONG$/s);
    const answer = await exchange(port, "GET /ping HTTP/1.1\r\nconnection: close\r\n\r\n");
    assert.match(answer, /^HTTP\/1\.1 400 /);
    const empty = "GET /ping HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n";
    assert.match(await exchange(port, empty), /^HTTP\/1\.1 403 /);
  }));

/** Sends bytes and answers all that comes until the server closes. */
async function exchange(port: number, bytes: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.end(bytes);
  return text(socket);
}

const ORIGINS = {
  origins: [APP, "http://localhost:3000"],
  hosts: ["sessions.example"],
};

/** What a browser sends of who caused a request, `HOST` being the server's own host and port. */
const CAUSES: readonly [title: string, OutgoingHttpHeaders, isLetIn: boolean][] = [
  ["a program", {}, true],
  ["an address typed in", { "sec-fetch-site": "none" }, true],
  ["a page of the server itself", { "sec-fetch-site": "same-origin" }, true],
  [
    "a script of the server itself",
    { origin: "http://HOST", "sec-fetch-site": "same-origin" },
    true,
  ],
  ["an old browser's script of the server itself", { origin: "http://HOST" }, true],
  ["one behind a proxy that takes TLS off", { origin: "https://HOST" }, true],
  ["an allowed origin", { origin: APP, "sec-fetch-site": "cross-site" }, true],
  ["an allowed origin in an old browser", { origin: APP }, true],
  [
    "an allowed origin on another port",
    { origin: "http://localhost:3000", "sec-fetch-site": "same-site" },
    true,
  ],
  ["an image of another site", { "sec-fetch-site": "cross-site" }, false],
  ["an image of another port", { "sec-fetch-site": "same-site" }, false],
  ["a word that no browser has", { "sec-fetch-site": "same-origin, none" }, false],
  ["an empty word", { "sec-fetch-site": "" }, false],
  ["a script of another site", { origin: "http://evil.test" }, false],
  ["a script of another port", { origin: "http://localhost:3001" }, false],
  ["a script of another host of the server", { origin: "http://sessions.example" }, false],
  ["no origin to speak of", { origin: "null" }, false],
  ["an empty origin", { origin: "" }, false],
  ["a list of origins", { origin: `${APP}, http://evil.test` }, false],
  ["an allowed origin in capitals", { origin: APP.toUpperCase() }, false],
  ["what begins as an allowed origin", { origin: `${APP}.evil.test` }, false],
  ["an allowed host by another scheme", { origin: "http://app.example" }, false],
  ["an allowed host on another port", { origin: `${APP}:8443` }, false],
  [
    "the server's host by another scheme",
    { origin: "https://HOST", "sec-fetch-site": "same-site" },
    false,
  ],
  ["a file", { origin: "file://", "sec-fetch-site": "cross-site" }, false],
  ["an extension", { origin: "chrome-extension://abcdef" }, false],
];

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
const PATHS = ["/ping", "/shop/killall", "/metrics", "/openapi.json", RPC, "/nowhere", "/%ff"];

for (const [title, cause, isLetIn] of CAUSES) {
  test(`${title} is ${isLetIn ? "let in" : "refused"}, whatever it asks for`, () =>
    withHttp(ORIGINS, async (rest, port) => {
      const headers = Object.fromEntries(
        Object.entries(cause).map(([name, value]) => [
          name,
          String(value).replace("HOST", `127.0.0.1:${port}`),
        ]),
      );
      for (const method of METHODS) {
        for (const path of PATHS) {
          const answer = await rest.call(method, path, undefined, headers);
          const what = `${method} ${path}`;
          if (isLetIn) assert.notEqual(answer.status, 403, what);
          else if (method === "HEAD") assert.equal(answer.status, 403, what);
          else assertRefused(answer, "LATCHKEY_HTTP_ORIGINS", what);
          const allowed =
            headers["origin"] === APP || headers["origin"] === "http://localhost:3000";
          assert.equal(
            answer.headers["access-control-allow-origin"],
            allowed ? headers["origin"] : undefined,
            what,
          );
        }
      }
    }));
}

test("health answers whoever asks, and lets no page of another origin read it", () =>
  withHttp({}, async (rest) => {
    for (const path of ["/livez", "/readyz"]) {
      const headers = { origin: "http://evil.test", "sec-fetch-site": "cross-site" };
      const answer = await rest.call("GET", path, undefined, headers);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["access-control-allow-origin"], undefined);
      assert.equal((await rest.call("POST", path, undefined, headers)).status, 403);
    }
  }));

test("a preflight of an allowed origin is told what its page may send", () =>
  withHttp(ORIGINS, async (rest) => {
    const asked = { origin: APP, "access-control-request-method": "DELETE" };
    for (const path of ["/shop/killall", RPC, "/nowhere"]) {
      const { status, headers, text } = await rest.call("OPTIONS", path, undefined, asked);
      assert.deepEqual([status, text], [204, ""]);
      assert.equal(headers["access-control-allow-origin"], APP);
      assert.equal(headers["access-control-allow-credentials"], undefined);
      assert.equal(headers["access-control-allow-private-network"], undefined);
      assert.equal(headers["vary"], "origin");
      assert.match(headers["access-control-max-age"] ?? "", /^\d+$/);
      const methods = headers["access-control-allow-methods"]?.split(", ");
      for (const one of ["GET", "POST", "PUT", "DELETE"]) assert.ok(methods?.includes(one), one);
      const names = headers["access-control-allow-headers"]?.split(", ");
      for (const one of [
        "authorization",
        "content-type",
        "connect-protocol-version",
        "connect-timeout-ms",
        "x-grpc-web",
        "x-user-agent",
        "grpc-timeout",
      ]) {
        assert.ok(names?.includes(one), one);
      }
    }
  }));

test("a preflight for a private network is granted to an allowed origin alone", () =>
  withHttp(ORIGINS, async (rest) => {
    const ask = (origin: string) =>
      rest.call("OPTIONS", "/ping", undefined, {
        origin,
        "access-control-request-method": "GET",
        "access-control-request-private-network": "true",
      });
    const granted = await ask(APP);
    assert.equal(granted.headers["access-control-allow-private-network"], "true");
    const refused = await ask("http://evil.test");
    assert.equal(refused.status, 403);
    assert.equal(refused.headers["access-control-allow-private-network"], undefined);
  }));

/** One request for each way in which the listener writes an answer. */
const ANSWERS: readonly [title: string, status: number, Parameters<Rest["call"]>][] = [
  ["a reproduced endpoint", 200, ["PUT", "/shop/create/ann?ip=::1"]],
  ["an error of one", 400, ["GET", "/shop/soapp?dt=x"]],
  ["a body that is too large", 413, ["POST", "/shop/set/x", { content: Buffer.alloc(70_000) }]],
  ["an unknown path", 404, ["GET", "/nowhere"]],
  ["a path that cannot be decoded", 400, ["GET", "/%ff"]],
  ["health", 200, ["GET", "/livez"]],
  ["metrics", 200, ["GET", "/metrics"]],
  ["Connect", 200, ["POST", RPC, JSON_BODY]],
  ["an error of Connect", 400, ["POST", RPC, { ...JSON_BODY, content: "{}" }]],
  ["Connect with an unknown type", 415, ["POST", RPC, { content: "{}", type: "text/plain" }]],
  [
    "gRPC-Web",
    200,
    ["POST", RPC, { content: Buffer.alloc(5), type: "application/grpc-web+proto" }],
  ],
];

for (const [title, status, [method, path, body]] of ANSWERS) {
  test(`${title} answers a browser with the headers that guard it`, () =>
    withHttp(ORIGINS, async (rest) => {
      const causes: readonly Record<string, string>[] = [
        { "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36" },
        { "sec-fetch-site": "same-origin" },
        { origin: APP, "sec-fetch-site": "cross-site" },
      ];
      for (const cause of causes) {
        const answer = await rest.call(method, path, body, cause);
        assert.equal(answer.status, status, answer.text);
        assert.equal(answer.headers["x-content-type-options"], "nosniff");
        assert.equal(answer.headers["cache-control"], "no-store");
        assert.equal(answer.headers["cross-origin-resource-policy"], "same-origin");
        assert.equal(answer.headers["vary"], "origin");
        const isAllowed = cause["origin"] !== undefined;
        assert.equal(answer.headers["access-control-allow-origin"], cause["origin"]);
        const exposed = answer.headers["access-control-expose-headers"] ?? "";
        for (const name of ["grpc-status", "grpc-message", "grpc-status-details-bin"]) {
          assert.equal(exposed.split(", ").includes(name), isAllowed, name);
        }
      }
    }));
}

test("each refused request leaves one line that says from where and why, and no more of it", () =>
  withListeners({ http: {} }, async (listeners) => {
    const rest = openRest(listeners.http);
    try {
      const long = `http://${"x".repeat(200)}.test`;
      for (const [headers, expected] of [
        [{ host: "evil.test" }, { reason: "host", host: "evil.test" }],
        [
          { host: "localhost", origin: long, authorization: "Basic c2VjcmV0" },
          { reason: "origin", host: "localhost", origin: long.slice(0, 100) },
        ],
      ] as const) {
        const from = listeners.log.length;
        await rest.call("GET", "/shop/get/secret", undefined, headers);
        const lines = listeners.log.slice(from).map((line) => JSON.parse(line));
        assert.equal(lines.length, 1);
        const { level, time, pid, hostname, address, ...fields } = lines[0];
        assert.match(address, /^127\.0\.0\.1:\d+$/);
        assert.deepEqual(fields, { ...expected, msg: "request refused" });
      }
    } finally {
      rest.close();
    }
  }));

test("a program gets none of the headers that are for browsers", () =>
  withHttp(ORIGINS, async (rest) => {
    for (const agent of [{}, { "user-agent": "curl/8.0" }]) {
      const { headers } = await rest.call("PUT", "/shop/create/ann?ip=::1", undefined, agent);
      const sent = Object.keys(headers).toSorted();
      assert.deepEqual(sent, [
        "connection",
        "content-length",
        "content-type",
        "date",
        "keep-alive",
      ]);
    }
  }));

test("a host that is not ours is refused after one that is, on the same connection", () =>
  withHttp({}, async (rest) => {
    for (const [host, status] of [
      ["localhost", 200],
      ["evil.test", 403],
      ["localhost", 200],
      ["evil.test", 403],
    ] as const) {
      assert.equal((await rest.call("GET", "/ping", undefined, { host })).status, status);
    }
  }));

test("a request to upgrade is an ordinary one: no WebSocket opens, and the guard sees it", () =>
  withHttp({}, async (_rest, port) => {
    const upgrade = (path: string, origin: string) =>
      exchange(
        port,
        `GET ${path} HTTP/1.1\r\nhost: localhost\r\norigin: ${origin}\r\n` +
          "connection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" +
          "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
      );
    assert.match(await upgrade("/ping", "http://localhost"), /^HTTP\/1\.1 200 .*PONG$/s);
    assert.match(await upgrade("/ping", "http://evil.test"), /^HTTP\/1\.1 403 /);
  }));
