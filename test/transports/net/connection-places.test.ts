import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import type { Socket } from "node:net";
import { test } from "node:test";
import type { Network } from "../../../src/lib/network.js";
import { withGuarded } from "../../support/accounts.js";
import { eventually } from "../../support/eventually.js";
import { PEER_NAMES, PEERS } from "../../support/peers.js";
import { dial } from "../../support/transports/command-client.js";
import { startServer } from "../../support/transports/server.js";

const HERE: readonly Network[] = [{ address: "127.0.0.0", prefix: 8 }];

/** Ten places, two of which are kept for clients that are not known yet. */
const ALL = { connections: 10, perAddress: 1_000 };
const OF_ONE = { connections: 1_000, perAddress: 10 };

type Listeners = { readonly grpc: string; readonly http: string };

const isOpen = (socket: Socket) => !socket.destroyed && !socket.readableEnded;

/** A connection on which nothing is said. */
async function silent(address: string): Promise<Socket> {
  const socket = await dial(address);
  return socket.on("error", () => {}).resume();
}

/** A connection as a proxy makes it for a client of this address. */
async function proxied(address: string, client: string): Promise<Socket> {
  const socket = await silent(address);
  socket.write(`PROXY TCP4 ${client} 10.0.0.1 50000 443\r\n`);
  return socket;
}

/** Connections of strangers, on both listeners by turns. */
async function crowd({ grpc, http }: Listeners, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let at = 0; at < count; at++) sockets.push(await silent(at % 2 === 0 ? grpc : http));
  return sockets;
}

/** The value of a metric, by its name and labels as they are told. */
async function metric(http: string, name: string, authorization?: string): Promise<number> {
  const headers = authorization === undefined ? {} : { authorization };
  const text = await (await fetch(`http://${http}/metrics`, { headers })).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length) ?? assert.fail(`there is no ${name}`));
}

/** The status of an answer to a new connection that asks for health. */
async function askHealth(http: string): Promise<string> {
  const socket = await dial(http);
  socket.on("error", () => {}).write("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n");
  const [answer]: Buffer[] = await once(socket, "data");
  socket.destroy();
  return answer?.toString("latin1").slice(9, 12) ?? "";
}

function destroyAll(sockets: readonly Socket[]): void {
  for (const socket of sockets) socket.destroy();
}

for (const name of PEER_NAMES) {
  const { connect } = PEERS[name];

  test(`where strangers have all places, the oldest of them gives way to a caller: ${name}`, () =>
    withGuarded(
      async (server) => {
        const known = await connect(server);
        assert.equal((await known.call(server.ann.bearer)).status, "ok");
        const strangers = await crowd(server, 30);
        await eventually("10 connections", () => strangers.filter(isOpen).length === 9);
        assert.deepEqual(strangers.slice(21).map(isOpen), Array(9).fill(true));
        assert.equal((await known.call(server.ann.bearer)).status, "ok");
        const later = await connect(server);
        assert.equal((await later.call(server.admin.bearer)).status, "ok");
        await eventually("a stranger's end", () => strangers.filter(isOpen).length === 8);
        for (const peer of [known, later]) peer.close();
        destroyAll(strangers);
      },
      { connectionLimits: ALL },
    ));

  test(`where callers have all places that they may have, another is told, and health is: ${name}`, () =>
    withGuarded(
      async (server) => {
        const callers = await Promise.all(Array.from({ length: 8 }, () => connect(server)));
        for (const caller of callers) {
          assert.equal((await caller.call(server.ann.bearer)).status, "ok");
        }
        const more = await connect(server);
        const answer = await more.call(server.ann.bearer);
        const refused = name === "HTTP" ? "503 unavailable" : "Unavailable UNAVAILABLE";
        assert.equal(`${answer.status} ${answer.reason}`, refused);
        assert.equal(await askHealth(server.http), "200");
        callers[0]?.close();
        await eventually(
          "a place",
          async () => (await more.call(server.ann.bearer)).status === "ok",
        );
        for (const caller of [...callers, more]) caller.close();
      },
      { connectionLimits: ALL },
    ));
}

test("a connection whose caller's key was revoked gives way as a stranger's does", () =>
  withGuarded(
    async (server) => {
      const { ann, accounts } = server;
      const peer = await PEERS.gRPC.connect(server);
      assert.equal((await peer.call(ann.bearer)).status, "ok");
      await accounts.revokeKey(ann.name, ann.keyId);
      await eventually("the key's end", async () => (await peer.call(ann.bearer)).status !== "ok");
      const strangers = await crowd(server, 10);
      await eventually("the end of its connection", () => !peer.isConnected());
      destroyAll(strangers);
    },
    { connectionLimits: ALL },
  ));

test("strangers of one address take the places of that address alone", () =>
  withGuarded(
    async (server) => {
      const others = [
        await proxied(server.grpc, "192.0.2.1"),
        await proxied(server.http, "192.0.2.2"),
      ];
      const strangers: Socket[] = [];
      for (let count = 0; count < 15; count++) {
        strangers.push(await proxied(server.http, "192.0.2.7"));
      }
      await eventually("10 of one address", () => strangers.filter(isOpen).length === 10);
      assert.deepEqual(others.map(isOpen), [true, true]);
      const [line, ...more] = server.logged("a limit of connections was met");
      const { listener, limit, ip, count } = line ?? {};
      assert.deepEqual(
        { listener, limit, ip, count },
        { listener: "http", limit: "perAddress", ip: "192.0.2.7", count: 1 },
      );
      assert.deepEqual(more, []);
      destroyAll([...others, ...strangers]);
    },
    { connectionLimits: OF_ONE, proxyProtocol: HERE },
  ));

test("the connections of a trusted proxy are not counted by its address", () =>
  withGuarded(
    async (server) => {
      const { http, admin } = server;
      const sockets = await crowd(server, 30);
      const unknown = 'latchkey_connections{listener="grpc",caller="unknown"}';
      assert.equal(await metric(http, unknown, admin.bearer), 15);
      assert.equal(sockets.filter(isOpen).length, 30);
      destroyAll(sockets);
    },
    { connectionLimits: OF_ONE, trustedProxies: HERE },
  ));

test("without authentication the connection on which nothing moved for longest gives way", async () => {
  const server = await startServer("memory", "silent", { connectionLimits: ALL });
  try {
    const client = connectHttp2(`http://${server.grpc}`).on("error", () => {});
    const ping = () =>
      new Promise<void>((resolve, reject) =>
        client.ping((error) => (error ? reject(error) : resolve())),
      );
    await once(client, "remoteSettings");
    const silentOnes = await crowd(server, 9);
    await ping();
    silentOnes.push(await silent(server.http));
    await eventually("the end of one", () => silentOnes.filter(isOpen).length === 9);
    await ping();

    // Now it is the client that says nothing.
    const leaving = once(client, "goaway");
    const next = await crowd(server, 30);
    assert.deepEqual((await leaving)[0], 0);
    const limited = 'latchkey_connections_limited_total{listener="http",limit="connections"}';
    assert.ok((await metric(server.http, limited)) >= 6);
    destroyAll([...silentOnes, ...next]);
    client.destroy();
  } finally {
    await server.close();
  }
});
