import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import { type ConnectionOptions, connect } from "node:tls";
import { eventually } from "../../support/eventually.js";
import { createAuthority } from "../../support/tls/certificates.js";
import {
  type CommandClient,
  dial,
  request,
  speak,
} from "../../support/transports/command-client.js";
import { withCommandListener } from "../../support/transports/command-listener.js";

const authority = createAuthority();
after(() => authority.close());
const server = authority.issue("localhost");
const tls = { ...server };
const mutual = { ...server, ca: authority.cert, requestCert: true, rejectUnauthorized: true };

/** A TLS connection, made by the certificates given. */
async function dialTls(address: string, options: ConnectionOptions = {}): Promise<CommandClient> {
  const [host = "", port = ""] = address.split(":");
  const socket = connect({ host, port: Number(port), ca: authority.cert, ...options });
  await once(socket, "secureConnect");
  return speak(socket);
}

test("the protocol over TLS is the same", () =>
  withCommandListener({ tls }, async ({ address }) => {
    const client = await dialTls(address);
    const pings = Array.from({ length: 200 }, (_, index) => request("PING", `${index}`));
    client.socket.write(Buffer.concat([request("auth", "admin", "secret"), ...pings]));
    assert.equal((await client.receive()).result, "Connected");
    for (const index of pings.keys())
      assert.equal((await client.receive()).result, `PONG ${index}`);
    const session = JSON.parse((await client.call("SESSION")).result);
    assert.equal(session.session_id, `1-127.0.0.1:${client.socket.localPort}`);
    client.socket.end(request("PING", "last"));
    assert.deepEqual(
      (await client.rest()).map(({ result }) => result),
      ["PONG last"],
    );
  }));

test("who does not speak TLS, or does not finish the handshake, is closed in time", () =>
  withCommandListener({ tls, limits: { firstCommand: 200 } }, async ({ address, log }) => {
    const silent = speak(await dial(address));
    const plain = speak(await dial(address));
    plain.socket.write(request("auth", "admin", "secret"));
    const secure = await dialTls(address);
    const slow = speak(await dial(address));
    // The head of a ClientHello of 508 bytes; the others come one at a time.
    slow.socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]));
    while (!slow.socket.closed) {
      slow.socket.write(Buffer.of(7));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.deepEqual(await silent.rest(), []);
    await eventually("the end of a plain connection", () => plain.socket.closed);
    const [told, ...more] = (await secure.rest()).map(({ result }) => result);
    assert.equal(told, "LimitError: AUTH did not come within 0.2 s");
    assert.deepEqual(more, []);
    assert.doesNotMatch(log.join(""), /secret/);
  }));

test("a connection in its handshake gives way to another, and one over the limit is told", () =>
  withCommandListener({ tls, limits: { perAddress: 2 } }, async ({ address }) => {
    const first = await dialTls(address);
    assert.equal((await first.call("auth", "admin", "secret")).result, "Connected");
    const handshaking = speak(await dial(address));
    const third = await dialTls(address);
    assert.deepEqual(await handshaking.rest(), []);
    assert.equal((await third.call("auth", "admin", "secret")).result, "Connected");
    const over = await dialTls(address);
    assert.deepEqual(
      (await over.rest()).map(({ result }) => result),
      ["LimitError: the server takes 2 connections of one address"],
    );
    first.close();
    const canConnect = async () => {
      const { result } = await (await dialTls(address)).call("auth", "admin", "secret");
      return result === "Connected";
    };
    await eventually("a place", () => canConnect().catch(() => false));
  }));

test("a client with a certificate is its account, unless it gives a name and password", () =>
  withCommandListener({ tls: mutual }, async ({ address }) => {
    const options = authority.issue("ann");
    for (const [args, name] of [
      [[], "ann"],
      [["", ""], "ann"],
      [["admin", "secret"], "admin"],
    ] satisfies [string[], string][]) {
      const client = await dialTls(address, options);
      assert.equal((await client.call("auth", ...args)).result, "Connected");
      const session = JSON.parse((await client.call("SESSION")).result);
      assert.equal(session.user.Username, name);
      client.close();
    }
  }));

test("a certificate of no account is refused, as is a client without a certificate", () =>
  withCommandListener({ tls: mutual }, async ({ address }) => {
    const client = await dialTls(address, authority.issue("nobody"));
    const { status, result } = await client.call("auth");
    assert.deepEqual([status, result], ["Error", "unauthorized or session not found"]);
    assert.deepEqual(await client.rest(), []);
    // In TLS 1.3 a client takes the handshake for done before the server has seen its certificate.
    const bare = await dialTls(address);
    await assert.rejects(bare.call("auth", "admin", "secret"));
  }));

test("a certificate that is asked for and not trusted names nobody", () => {
  const lenient = { ...mutual, rejectUnauthorized: false };
  return withCommandListener({ tls: lenient }, async ({ address }) => {
    const other = createAuthority();
    try {
      const client = await dialTls(address, other.issue("admin"));
      assert.equal((await client.call("auth")).status, "Error");
    } finally {
      other.close();
    }
  });
});

test("a new certificate is for new connections, and the open ones stay", () =>
  withCommandListener({ tls }, async ({ address, listener }) => {
    const before = await dialTls(address);
    await before.call("auth", "admin", "secret");
    const other = createAuthority();
    try {
      listener.reloadTls(other.issue("localhost"));
      const after = await dialTls(address, { ca: other.cert });
      assert.equal((await after.call("auth", "admin", "secret")).result, "Connected");
      assert.equal((await before.call("PING")).result, "PONG");
      for (const client of [before, after]) client.close();
    } finally {
      other.close();
    }
  }));
