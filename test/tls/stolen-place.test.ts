import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { after, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { createAuthority } from "../transports/certificates.js";
import { startTls } from "./trial.js";
import { speakOn, WIRES, type WireName } from "./wires.js";

const authority = createAuthority();
after(() => authority.close());
const ca = authority.cert;
const own = authority.issue("localhost");
const certificates = { ann: authority.issue("ann"), nobody: authority.issue("nobody") };

/** A connection to one of this machine's addresses, from a port of its own choice. */
async function dial(host: string, port: number, localPort: number): Promise<Socket> {
  const socket = connect({ host, port, localAddress: "127.0.0.1", localPort });
  await once(socket, "connect");
  return socket;
}

/** A port that nothing uses just now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await once(server.close(), "close");
  return port;
}

async function secure(name: WireName, socket: Socket, who: keyof typeof certificates) {
  const protocols = name === "grpc" ? { ALPNProtocols: ["h2"] } : {};
  const options = { socket, ca, servername: "localhost", ...certificates[who], ...protocols };
  const over = connectTls(options);
  await once(over, "secureConnect");
  over.on("error", () => {});
  return over;
}

const everywhere = { grpc: "0.0.0.0:0", http: "0.0.0.0:0", command: "0.0.0.0:0" };
const portOf = (address: string) => Number(address.slice(address.lastIndexOf(":") + 1));

// Two connections from one address and port are possible where they go to different addresses.
for (const [first, second] of [
  ["ann", "nobody"],
  ["nobody", "ann"],
] as const) {
  test(`of two connections from one port, ${second}'s is not taken for ${first}'s, nor ends it`, async (t) => {
    const { addresses } = await startTls(t, { ...own, clientCa: ca }, everywhere);
    const accountOf = { ann: "ann", nobody: "unauthenticated" };
    for (const name of WIRES) {
      const port = portOf(addresses[name]);
      const from = await freePort();
      const plain = await dial("127.0.0.1", port, from);
      const one = speakOn(name, addresses, await secure(name, plain, first));
      assert.equal(await one.whoAmI(), accountOf[first], name);
      const beside = await dial("127.0.0.2", port, from);
      const other = speakOn(name, addresses, await secure(name, beside, second));
      assert.equal(await other.whoAmI(), accountOf[second], name);
      if (name !== "command" || first === "ann") {
        assert.equal(await one.whoAmI(), accountOf[first], name);
      }
      const closed = other.socket.closed || once(other.socket, "close");
      other.close();
      await closed;
      if (first === "ann") assert.equal(await one.whoAmI(), "ann", name);
      one.close();
    }
  });
}

test("a bare connection from a caller's port does not cut it off", async (t) => {
  const { addresses } = await startTls(t, { ...own, clientCa: ca }, everywhere);
  for (const name of WIRES) {
    const port = portOf(addresses[name]);
    const from = await freePort();
    const plain = await dial("127.0.0.1", port, from);
    const one = speakOn(name, addresses, await secure(name, plain, "ann"));
    assert.equal(await one.whoAmI(), "ann", name);
    const bare = await dial("127.0.0.2", port, from);
    assert.equal(await one.whoAmI(), "ann", name);
    bare.destroy();
    await once(bare, "close");
    assert.equal(await one.whoAmI(), "ann", name);
    one.close();
  }
});
