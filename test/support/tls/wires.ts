import { once } from "node:events";
import { Agent, request } from "node:http";
import type { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { type ConnectionOptions, connect, TLSSocket } from "node:tls";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { speak } from "../transports/command-client.js";
import type { Addresses } from "./trial.js";

/** What the server says of a caller. */
export interface Shown {
  /** The account, or `unauthenticated`. */
  readonly account: string;
  /** Of its session: a number, a dash, and its address. */
  readonly id: string;
}

/** What a caller sends to be known, beside its certificate: a key, or over the command protocol,
 * which has no place for one, a name and a password. */
export interface Sent {
  readonly key?: string;
  readonly login?: readonly [name: string, password: string];
}

/** A client's connection to one of the listeners. */
export interface Wire<S extends Socket = Socket> {
  readonly socket: S;
  /** Rejects if the connection is gone. */
  show(sent?: Sent): Promise<Shown>;
  /** The account that `show` has. */
  whoAmI(key?: string): Promise<string>;
  close(): void;
}

export const WIRES = ["grpc", "http", "command"] as const satisfies (keyof Addresses)[];
export type WireName = (typeof WIRES)[number];

/** A TLS connection, its handshake done as far as the client can tell. */
export async function dialTls(
  name: WireName,
  addresses: Addresses,
  options: ConnectionOptions,
): Promise<TLSSocket> {
  const [host = "", port = ""] = addresses[name].split(":");
  const protocols = name === "grpc" ? { ALPNProtocols: ["h2"] } : {};
  const socket = connect({ host, port: Number(port), ...protocols, ...options });
  await once(socket, "secureConnect");
  // A server that refuses may do so by a reset, whenever.
  socket.on("error", () => {});
  return socket;
}

export async function openWire(
  name: WireName,
  addresses: Addresses,
  options: ConnectionOptions,
): Promise<Wire<TLSSocket>> {
  return speakOn(name, addresses, await dialTls(name, addresses, options));
}

const OVER = { grpc: overGrpc, http: overHttp, command: overCommand };

/** Speaks a listener's protocol on a connection that is there already. */
export function speakOn<S extends Socket>(
  name: WireName,
  addresses: Addresses,
  socket: S,
): Wire<S> {
  const show = OVER[name](socket, addresses[name]);
  const whoAmI: Wire["whoAmI"] = async (key) => (await show(key ? { key } : {})).account;
  return { socket, show, whoAmI, close: () => socket.destroy() };
}

const UNKNOWN: Shown = { account: "unauthenticated", id: "" };

const bearer = (key: string | undefined) => (key ? { authorization: `Bearer ${key}` } : {});

function overGrpc(socket: Socket, address: string): Wire["show"] {
  const baseUrl = `http${socket instanceof TLSSocket ? "s" : ""}://${address}`;
  const sessionManager = new Http2SessionManager(baseUrl, {}, { createConnection: () => socket });
  const client = createClient(SessionService, createGrpcTransport({ baseUrl, sessionManager }));
  return async ({ key } = {}) => {
    try {
      const { session } = await client.getCurrentSession({}, { headers: bearer(key) });
      return { account: session?.account ?? "", id: session?.sessionId ?? "" };
    } catch (error) {
      if (ConnectError.from(error).code === Code.Unauthenticated) return UNKNOWN;
      throw error;
    }
  };
}

function overHttp(socket: Socket, address: string): Wire["show"] {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  Object.assign(agent, { createConnection: () => socket });
  return async ({ key } = {}) => {
    const sent = request({ agent, path: "/session", headers: { host: address, ...bearer(key) } });
    const [answer] = await once(sent.end(), "response");
    const body = await text(answer);
    return answer.statusCode === 401 ? UNKNOWN : shownIn(body);
  };
}

function overCommand(socket: Socket): Wire["show"] {
  const client = speak(socket);
  let isFirst = true;
  return async ({ login = [] } = {}) => {
    const { status } = isFirst ? await client.call("auth", ...login) : { status: "Ok" };
    isFirst = false;
    if (status === "Error") return UNKNOWN;
    const { result } = await client.call("SESSION");
    return result.startsWith("{") ? shownIn(result) : UNKNOWN;
  };
}

function shownIn(json: string): Shown {
  const { user, session_id } = JSON.parse(json);
  return { account: user.Username, id: session_id };
}
