import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { connect as connectTls } from "node:tls";
import type { Network } from "../../../src/lib/network.js";
import { type Guarded, withGuarded } from "../../support/accounts.js";
import { eventually } from "../../support/eventually.js";
import { createAuthority } from "../../support/tls/certificates.js";
import { createFiles } from "../../support/tls/trial.js";
import { speakOn, WIRES, type WireName } from "../../support/tls/wires.js";
import { dial } from "../../support/transports/command-client.js";

const HERE: readonly Network[] = [{ address: "127.0.0.0", prefix: 8 }];
const ELSEWHERE: readonly Network[] = [{ address: "10.0.0.0", prefix: 8 }];
const LINE = Buffer.from("PROXY TCP4 192.0.2.7 10.0.0.1 50000 443\r\n");
const LOCAL = Buffer.from("0d0a0d0a000d0a515549540a20000000", "hex");
const BINARY = Buffer.concat([
  Buffer.from("0d0a0d0a000d0a515549540a21210024", "hex"),
  Buffer.from("20010db8000000000000000000000007", "hex"),
  Buffer.from("00000000000000000000000000000001c35001bb", "hex"),
]);

const authority = createAuthority();
const files = createFiles(authority.issue("localhost"));
after(() => {
  files.remove();
  authority.close();
});

/** Speaks TLS on a connection that may have said something already. */
async function secure(name: WireName, socket: Socket): Promise<Socket> {
  const protocols = name === "grpc" ? { ALPNProtocols: ["h2"] } : {};
  const over = connectTls({ socket, ca: authority.cert, servername: "localhost", ...protocols });
  await once(over, "secureConnect");
  return over;
}

/** Who is shown for a caller whose connection begins with these bytes. */
async function shown(server: Guarded, name: WireName, isSecure: boolean, ...begin: Buffer[]) {
  const plain = await dial(server[name]);
  plain.setNoDelay();
  for (const bytes of begin) {
    plain.write(bytes);
    await new Promise(setImmediate);
  }
  const socket = isSecure ? await secure(name, plain) : plain;
  const wire = speakOn(name, server, socket);
  const { name: account, password, key } = server.ann;
  const { id } = await wire.show({ key, login: [account, password] });
  wire.close();
  return id.replace(/^\d+-/, "").replace(/^127\.0\.0\.1:\d+$/, "the proxy");
}

for (const isSecure of [false, true]) {
  const settings = { proxyProtocol: HERE, tls: isSecure ? files.paths : null };
  test(`a PROXY header tells whom a connection comes from, ${isSecure ? "before TLS" : "without TLS"}`, () =>
    withGuarded(async (server) => {
      for (const name of WIRES) {
        assert.equal(await shown(server, name, isSecure, LINE), "192.0.2.7:50000", name);
        assert.equal(await shown(server, name, isSecure, BINARY), "[2001:db8::7]:50000", name);
        assert.equal(await shown(server, name, isSecure, LOCAL), "the proxy", name);
        const bytes = [...BINARY].map((byte) => Buffer.from([byte]));
        assert.equal(await shown(server, name, isSecure, ...bytes), "[2001:db8::7]:50000", name);
      }
    }, settings));
}

test("what follows a header in the same packet is not lost", () =>
  withGuarded(
    async ({ http, ann }) => {
      const socket = await dial(http);
      const request = `GET /session HTTP/1.1\r\nhost: localhost\r\nauthorization: ${ann.bearer}\r\nconnection: close\r\n\r\n`;
      socket.end(Buffer.concat([LINE, Buffer.from(request)]));
      const chunks: Buffer[] = [];
      for await (const chunk of socket) chunks.push(chunk);
      assert.match(Buffer.concat(chunks).toString(), /"session_id":"\d+-192\.0\.2\.7:50000"/);
    },
    { proxyProtocol: HERE },
  ));

test("a connection of such a network without a header is ended, and the log names its address", () =>
  withGuarded(
    async ({ logged, ...addresses }) => {
      for (const name of WIRES) {
        const socket = await dial(addresses[name]);
        socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
        await once(socket.resume(), "close");
      }
      const [line, ...more] = logged(
        "a connection of a network in LATCHKEY_PROXY_PROTOCOL began with no PROXY header, and was ended",
      );
      assert.equal(line?.["address"], "127.0.0.1");
      assert.equal(more.length, 0);
    },
    { proxyProtocol: HERE },
  ));

test("a header is believed of nobody else", () =>
  withGuarded(
    async (server) => {
      for (const name of WIRES) {
        assert.equal(await shown(server, name, false), "the proxy", name);
        const socket = await dial(server[name]);
        socket.write(Buffer.concat([LINE, Buffer.alloc(64)]));
        await once(socket.resume(), "close");
      }
    },
    { proxyProtocol: ELSEWHERE },
  ));

test("a proxy that connects and says nothing does not keep the server from stopping", () =>
  withGuarded(
    async (server) => {
      const silent = await Promise.all(WIRES.map((name) => dial(server[name])));
      const closed = silent.map((socket) => once(socket.resume(), "close"));
      await server.close();
      await Promise.all(closed);
    },
    { proxyProtocol: HERE },
  ));

test("a proxy on a socket file may send headers too, and X-Forwarded-For is judged by them", async () => {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-proxy-"));
  const path = join(folder, "http.sock");
  const inner = { address: "192.0.2.0", prefix: 24 };
  try {
    await withGuarded(
      async (server) => {
        const socket = connect(path);
        await once(socket, "connect");
        socket.write(LINE);
        const request = `GET /session HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: 198.51.100.9\r\nauthorization: ${server.ann.bearer}\r\nconnection: close\r\n\r\n`;
        socket.end(request);
        const chunks: Buffer[] = [];
        for await (const chunk of socket) chunks.push(chunk);
        assert.match(Buffer.concat(chunks).toString(), /"session_id":"\d+-198\.51\.100\.9"/);
      },
      { http: `unix:${path}`, proxyProtocol: ["unix:"], trustedProxies: [inner] },
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test("callers behind one proxy have places of the command listener by their own addresses", () =>
  withGuarded(
    async (server) => {
      const begin = async (ip: string) => {
        const socket = await dial(server.command);
        socket.write(`PROXY TCP4 ${ip} 10.0.0.1 50000 443\r\n`);
        return speakOn("command", server, socket);
      };
      const { name, password } = server.ann;
      const login = [name, password] as const;
      const [one, other] = [await begin("192.0.2.1"), await begin("192.0.2.2")];
      assert.equal((await one.show({ login })).account, "ann");
      assert.equal((await other.show({ login })).account, "ann");
      const more = await begin("192.0.2.1");
      assert.equal((await more.show({ login })).account, "unauthenticated");
      more.close();
      await eventually("a line about the limit", () =>
        server
          .logged("a limit of the command listener was met")
          .some(({ ip }) => ip === "192.0.2.1"),
      );
      one.close();
      other.close();
    },
    { proxyProtocol: HERE, commandLimits: { connections: 10, perAddress: 1, idle: null } },
  ));
