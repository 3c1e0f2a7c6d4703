import { once } from "node:events";
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { SessionService } from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { speak } from "../transports/command-client.js";
import type { Addresses } from "./trial.js";

/** A client's connection by TLS to one of the listeners. */
export interface Wire {
  readonly socket: TLSSocket;
  /**
   * The account that the server takes the caller for, or `unauthenticated`; with an API key if
   * the wire has a place for one. Rejects if the connection is gone.
   */
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
): Promise<Wire> {
  const socket = await dialTls(name, addresses, options);
  const close = () => socket.destroy();
  switch (name) {
    case "grpc":
      return { socket, whoAmI: overGrpc(addresses.grpc, socket), close };
    case "http":
      return { socket, whoAmI: overHttp(addresses.http, socket), close };
    case "command":
      return { socket, whoAmI: overCommand(socket), close };
  }
}

const bearer = (key: string | undefined) => (key ? { authorization: `Bearer ${key}` } : {});

function overGrpc(address: string, socket: TLSSocket): Wire["whoAmI"] {
  const baseUrl = `https://${address}`;
  const sessionManager = new Http2SessionManager(baseUrl, {}, { createConnection: () => socket });
  const client = createClient(SessionService, createGrpcTransport({ baseUrl, sessionManager }));
  return async (key) => {
    try {
      const { session } = await client.getCurrentSession({}, { headers: bearer(key) });
      return session?.account ?? "";
    } catch (error) {
      if (ConnectError.from(error).code === Code.Unauthenticated) return "unauthenticated";
      throw error;
    }
  };
}

function overHttp(address: string, socket: TLSSocket): Wire["whoAmI"] {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  Object.assign(agent, { createConnection: () => socket });
  return async (key) => {
    const sent = request({ agent, path: "/session", headers: { host: address, ...bearer(key) } });
    const [answer] = await once(sent.end(), "response");
    const body = await text(answer);
    if (answer.statusCode === 401) return "unauthenticated";
    return JSON.parse(body).user.Username;
  };
}

/** The protocol has no place for a key: the certificate is all. */
function overCommand(socket: TLSSocket): Wire["whoAmI"] {
  const client = speak(socket);
  let isFirst = true;
  return async () => {
    const { status } = isFirst ? await client.call("auth") : { status: "Ok" };
    isFirst = false;
    if (status === "Error") return "unauthenticated";
    const { result } = await client.call("SESSION");
    return result.startsWith("{") ? JSON.parse(result).user.Username : "unauthenticated";
  };
}
