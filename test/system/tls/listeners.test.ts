import assert from "node:assert/strict";
import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { syncBuiltinESMExports } from "node:module";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Client, credentials } from "@grpc/grpc-js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { readTls } from "../../../src/transports/net/tls.js";
import { createAuthority } from "../../support/tls/certificates.js";
import { createFiles, startTls } from "../../support/tls/trial.js";
import { dialTls, openWire, WIRES } from "../../support/tls/wires.js";
import { dial } from "../../support/transports/command-client.js";
import { withListeners } from "../../support/transports/listeners.js";

const authority = createAuthority();
after(() => authority.close());
const ca = authority.cert;
const own = authority.issue("localhost");

test("all listeners show the certificate of the same two files", async (t) => {
  const { addresses } = await startTls(t, own, { auth: "off" });
  for (const name of WIRES) {
    const socket = await dialTls(name, addresses, { ca });
    assert.equal(socket.authorized, true, name);
    assert.equal(socket.getPeerX509Certificate()?.toString(), own.cert, name);
    socket.destroy();
    await assert.rejects(dialTls(name, addresses, {}), /unable to verify|self.signed/, name);
  }
});

test("usual clients are served over TLS", async (t) => {
  const { addresses } = await startTls(t, own, { auth: "off" });
  const transport = createGrpcTransport({
    baseUrl: `https://${addresses.grpc}`,
    nodeOptions: { ca },
  });
  const sessions = createClient(SessionService, transport);
  assert.match((await sessions.createSession({ app: "shop", userId: "ann" })).token, /^\w{64}$/);

  // By name: since Node 26, grpc-js makes no TLS connection to an IP address.
  const named = addresses.grpc.replace("127.0.0.1", "localhost");
  const grpcJs = new Client(named, credentials.createSsl(Buffer.from(ca)));
  t.after(() => grpcJs.close());
  const healthy = await new Promise<Buffer | undefined>((resolve, reject) => {
    const same = (bytes: Buffer) => bytes;
    const path = "/grpc.health.v1.Health/Check";
    grpcJs.makeUnaryRequest(path, same, same, Buffer.alloc(0), (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
  });
  assert.deepEqual(healthy, Buffer.of(8, 1));

  const answer = await get(`https://${addresses.http}/livez`);
  assert.equal(answer.statusCode, 200);
});

for (const [version, cipher] of [
  ["TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"],
  ["TLSv1.3", "TLS_AES_128_GCM_SHA256"],
] as const) {
  test(`${version} is accepted`, async (t) => {
    const { addresses } = await startTls(t, own, { auth: "off" });
    for (const name of WIRES) {
      const options = { ca, minVersion: version, maxVersion: version, ciphers: cipher };
      const socket = await dialTls(name, addresses, options);
      assert.equal(socket.getProtocol(), version, name);
      socket.destroy();
    }
  });
}

test("TLS 1.1 is refused", async (t) => {
  const { addresses } = await startTls(t, own, { auth: "off" });
  for (const name of WIRES) {
    const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1" } as const;
    await assert.rejects(
      dialTls(name, addresses, { ca, ...old, ciphers: "ALL:@SECLEVEL=0" }),
      { code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION" }, // Said by the server.
      name,
    );
  }
});

test("who does not speak TLS is closed without an answer, and disturbs nobody", async (t) => {
  const { addresses } = await startTls(t, own, { auth: "off" });
  for (const name of WIRES) {
    const good = await dialTls(name, addresses, { ca });
    for (const first of [
      "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "\0\0\0\u0006\n\u0004auth",
    ]) {
      const plain = await dial(addresses[name]);
      plain.write(first);
      const answer = await contentOf(plain);
      // An alert of TLS at most: 7 bytes that begin with 21.
      assert.ok(answer.length === 0 || (answer.length === 7 && answer[0] === 21), `${answer}`);
    }
    assert.equal(good.closed, false, name);
    good.destroy();
    const wire = await openWire(name, addresses, { ca });
    // The command listener has a session of nobody's where authentication is off.
    const nobody = name === "command" ? "" : "unauthenticated";
    assert.equal(await wire.whoAmI(), nobody, `${name} answers`);
    wire.close();
  }
});

test("a handshake that does not end is cut, and one that did goes on", async (t) => {
  const { paths, remove } = createFiles(own);
  t.after(remove);
  // The command listener's own limit has its test in test/transports.
  const tls = { ...readTls(paths), handshakeTimeout: 200 };
  await withListeners({ tls }, async (listening) => {
    const addresses = { ...listening, command: "" };
    for (const name of ["grpc", "http"] as const) {
      const good = await dialTls(name, addresses, { ca });
      const silent = await dial(addresses[name]);
      const half = await dial(addresses[name]);
      // The head of a ClientHello of 508 bytes, and no more.
      half.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]));
      await Promise.all([contentOf(silent), contentOf(half)]);
      assert.equal(good.closed, false, name);
      good.destroy();
    }
  });
});

test("an HTTP listener has the same time limits with TLS as without", async (t) => {
  const { paths, remove } = createFiles(own);
  t.after(remove);
  const made: http.Server[] = [];
  for (const module of [http, https] as { createServer: typeof http.createServer }[]) {
    const { createServer } = module;
    t.mock.method(module, "createServer", (...args: Parameters<typeof createServer>) => {
      const server = createServer(...args);
      made.push(server);
      return server;
    });
  }
  syncBuiltinESMExports();
  for (const tls of [null, readTls(paths)]) await withListeners({ tls }, async () => {});
  t.mock.restoreAll();
  syncBuiltinESMExports();
  const [plain, secure] = made.map((server) => ({
    headers: server.headersTimeout,
    request: server.requestTimeout,
    keepAlive: server.keepAliveTimeout,
    // How often they are looked at; the types leave it out.
    interval: (server as unknown as Record<string, unknown>)["connectionsCheckingInterval"],
  }));
  assert.equal(secure?.headers, 10_000);
  assert.deepEqual(secure, plain);
});

test("the origin of a TLS listener begins with https", async (t) => {
  const { addresses } = await startTls(t, own, { auth: "off" });
  const statusOf = async (origin: string) =>
    (await get(`https://${addresses.http}/openapi.json`, { origin })).statusCode;
  assert.equal(await statusOf(`https://${addresses.http}`), 200);
  assert.equal(await statusOf(`http://${addresses.http}`), 403);
  const { port } = new URL(`https://${addresses.http}`);
  assert.equal(await statusOf(`https://localhost:${port}`), 403);
});

/** An answer to GET, by Node's own client. */
async function get(url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const sent = https.request(url, { ca, headers, agent: false }).end();
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  answer.resume();
  return answer;
}

/** What comes by a socket until its end, a reset included. */
async function contentOf(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk)).on("error", () => {});
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
  return Buffer.concat(chunks);
}
