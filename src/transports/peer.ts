import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { plainAddress } from "../domain/network.js";

/**
 * A peer as `host:port`, IPv6 hosts in brackets, IPv4 ones plain on every kind of socket, or as
 * `unix:PATH` by a socket file; null if it has gone already.
 */
export function peerAddress(socket: {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}): string | null {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return null;
  if (remoteAddress.startsWith("unix:")) return remoteAddress;
  const ip = plainAddress(remoteAddress);
  return ip.includes(":") ? `[${ip}]:${remotePort}` : `${ip}:${remotePort}`;
}

/** The subject common name of the peer's certificate, if it has a verified one. */
export function certifiedName(socket: Socket): { commonName?: string } {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return {};
  // The types leave out that a certificate may have several names, or none.
  const name: unknown = socket.getPeerCertificate().subject?.CN;
  return typeof name === "string" ? { commonName: name } : {};
}
