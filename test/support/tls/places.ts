import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import type { Addresses } from "./trial.js";
import { type Sent, speakOn, type Wire, type WireName } from "./wires.js";

/** A server's addresses that are served at each of this machine's. */
export const EVERYWHERE = { grpc: "0.0.0.0:0", http: "0.0.0.0:0", command: "0.0.0.0:0" };

/** One who connects. */
export interface Person {
  /** The account that the server should take it for, or `unauthenticated`. */
  readonly account: string;
  readonly sent?: Sent;
  /** Null: without TLS. */
  readonly tls: ConnectionOptions | null;
}

/** A connection to `host`, one of this machine's addresses, from 127.0.0.1 and a port of choice. */
export async function dialFrom(localPort: number, host: string, address: string): Promise<Socket> {
  const port = Number(address.slice(address.lastIndexOf(":") + 1));
  const socket = connect({ host, port, localAddress: "127.0.0.1", localPort });
  await once(socket, "connect");
  return socket;
}

/** A port that nothing uses just now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await once(server.close(), "close");
  return port;
}

export async function openFrom(
  localPort: number,
  host: string,
  name: WireName,
  addresses: Addresses,
  { tls }: Person,
): Promise<Wire> {
  const plain = await dialFrom(localPort, host, addresses[name]);
  if (!tls) return speakOn(name, addresses, plain);
  const protocols = name === "grpc" ? { ALPNProtocols: ["h2"] } : {};
  const options = { socket: plain, servername: "localhost", ...tls, ...protocols };
  const socket = connectTls(options);
  await once(socket, "secureConnect");
  socket.on("error", () => {});
  return speakOn(name, addresses, socket);
}

/**
 * Two people connect from one address and port, to two addresses of the server's, and ask who they
 * are, the first of them again after the second and when the second has left. Returns what was
 * answered wrong.
 */
export async function meetInOnePlace(
  name: WireName,
  addresses: Addresses,
  [first, second]: readonly [Person, Person],
): Promise<string[]> {
  const port = await freePort();
  const problems: string[] = [];
  const check = async (wire: Wire, { account, sent }: Person, when: string) => {
    // Who was refused by the command protocol has no connection any more.
    if (name === "command" && account === "unauthenticated" && when !== "at first") return;
    const shown = await wire.show(sent).catch(String);
    const got = typeof shown === "string" ? shown : shown.account;
    if (got !== account) problems.push(`${name}: ${account} was taken ${when} for ${got}`);
  };
  const one = await openFrom(port, "127.0.0.1", name, addresses, first);
  await check(one, first, "at first");
  const other = await openFrom(port, "127.0.0.2", name, addresses, second);
  await check(other, second, "at first");
  await check(one, first, "beside another");
  const closed = other.socket.closed || once(other.socket, "close");
  other.close();
  await closed;
  await check(one, first, "after another");
  const ended = one.socket.closed || once(one.socket, "close");
  one.close();
  await ended;
  return problems;
}
