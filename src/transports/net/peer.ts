import { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { plainAddress } from "../../lib/network.js";

/** A connection's other end as the server is told of it: by the system, or by a proxy. */
export interface Peer {
  /** An IP address, or `unix:PATH`. */
  readonly ip: string;
  readonly port: number;
}

/** Has a connection come from another peer than the system knows. */
export function namePeer(socket: Socket, { ip, port }: Peer): void {
  Object.defineProperty(socket, "remoteAddress", { value: ip, configurable: true });
  Object.defineProperty(socket, "remotePort", { value: port, configurable: true });
}

/**
 * A connection's other end; null if it has gone already.
 */
export function peerOf(socket: Socket): Peer | null {
  const { remoteAddress: ip, remotePort: port } = acceptedSocket(socket);
  return ip === undefined || port === undefined ? null : { ip: plainAddress(ip), port };
}

/** `host:port`, IPv6 hosts in brackets, IPv4 ones plain on every kind of socket; or `unix:PATH`. */
export function textOfPeer({ ip, port }: Peer): string {
  if (ip.startsWith("unix:")) return ip;
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** The connection as it was accepted: below TLS, which is a socket of its own. */
export function acceptedSocket(socket: Socket): Socket {
  if (!(socket instanceof TLSSocket)) return socket;
  const accepted: unknown = Reflect.get(socket, "_parent");
  // Of two connections of one address and port, no other property tells which this is.
  if (!(accepted instanceof Socket)) throw new Error("Node keeps the socket below TLS elsewhere");
  return accepted;
}

/** The subject common name of the peer's certificate, if it has a verified one. */
export function certifiedName(socket: Socket): { commonName?: string } {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return {};
  // The types leave out that a certificate may have several names, or none.
  const name: unknown = socket.getPeerCertificate().subject?.CN;
  return typeof name === "string" ? { commonName: name } : {};
}
