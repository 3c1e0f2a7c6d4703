import type { Socket } from "node:net";
import type { Awaitable } from "../domain/awaitable.js";
import { LatchkeyError } from "../domain/error.js";
import { forwardedAddress, type ReadForwarded } from "../domain/forwarded.js";
import type { CallerSession, Connection, Connections } from "../services/connections.js";
import { certifiedName, peerAddress } from "./peer.js";

/** Reads one of a call's headers, repeated ones joined by commas; undefined if it has none. */
export type ReadHeader = (
  name: "authorization" | Parameters<ReadForwarded>[0],
) => string | undefined;

interface Origin {
  readonly connection: Connection;
  /** The peer's IP address. */
  readonly ip: string;
}

export type CallOrigins = ReturnType<typeof createCallOrigins>;

/**
 * Knows by which connection a call came to a listener, and so who made it.
 * `connections` is null where authentication is off; then nobody did. `isTrustedProxy` says of a
 * peer's IP address whether its word is taken for the address that it calls for.
 */
export function createCallOrigins(
  connections: Connections | null,
  transport: CallerSession["transport"],
  isTrustedProxy: (ip: string) => boolean,
) {
  const bySocket = new WeakMap<object, Origin>();
  const byPeer = new Map<string, Origin>();

  /** Who made a call with these headers. */
  const identify = (origin: Origin | undefined, header: ReadHeader): Awaitable<CallerSession> => {
    if (!origin) throw new LatchkeyError("unauthenticated", "the connection has ended");
    const forwarded = forwardedAddress(origin.ip, header, isTrustedProxy);
    return origin.connection.identify(header("authorization"), forwarded);
  };

  return {
    /** Takes notice of a connection that was accepted, its handshake done. */
    add(socket: Socket): void {
      if (!connections) return;
      const address = peerAddress(socket);
      if (address === null) {
        socket.destroy();
        return;
      }
      const connection = connections.open({
        transport,
        address,
        ...certifiedName(socket),
        end: () => socket.destroy(),
      });
      const peer = `${socket.remoteAddress}:${socket.remotePort}`;
      const origin = { connection, ip: socket.remoteAddress ?? "" };
      bySocket.set(socket, origin);
      byPeer.set(peer, origin);
      socket.once("close", () => {
        connection.close();
        if (byPeer.get(peer) === origin) byPeer.delete(peer);
      });
    },

    /** Who made a call by this socket; throws or rejects with `unauthenticated`. */
    bySocket: (socket: object, header: ReadHeader): Awaitable<CallerSession | null> =>
      connections ? identify(bySocket.get(socket), header) : null,

    /** As `bySocket`; `peer` is how grpc-js tells of the other end. */
    byPeer: (peer: () => string, header: ReadHeader): Awaitable<CallerSession | null> =>
      connections ? identify(byPeer.get(peer()), header) : null,

    /** Where a call by this socket comes from: the peer as `peerAddress` has it, or the IP address
     * that a trusted proxy makes it for. */
    addressOf: (socket: Socket, header: ReadHeader): string | null =>
      forwardedAddress(socket.remoteAddress ?? "", header, isTrustedProxy) ?? peerAddress(socket),
  };
}
