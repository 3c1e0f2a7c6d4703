import type { Socket } from "node:net";
import type { Awaitable } from "../domain/awaitable.js";
import { LatchkeyError } from "../domain/error.js";
import type { CallerSession, Connection, Connections } from "../services/connections.js";
import { certifiedName, peerAddress } from "./peer.js";

export type CallOrigins = ReturnType<typeof createCallOrigins>;

/**
 * Knows by which connection a call came to a listener, and so who made it.
 * `connections` is null where authentication is off; then nobody did.
 */
export function createCallOrigins(
  connections: Connections | null,
  transport: CallerSession["transport"],
) {
  const bySocket = new WeakMap<object, Connection>();
  const byPeer = new Map<string, Connection>();

  /** Who made a call by the connection with this `authorization` header. */
  const identify = (
    connection: Connection | undefined,
    header: string | undefined,
  ): Awaitable<CallerSession> => {
    if (!connection) throw new LatchkeyError("unauthenticated", "the connection has ended");
    return connection.identify(header);
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
      bySocket.set(socket, connection);
      byPeer.set(peer, connection);
      socket.once("close", () => {
        connection.close();
        if (byPeer.get(peer) === connection) byPeer.delete(peer);
      });
    },

    /** Who made a call by this socket; throws or rejects with `unauthenticated`. */
    bySocket: (socket: object, header: string | undefined): Awaitable<CallerSession | null> =>
      connections ? identify(bySocket.get(socket), header) : null,

    /** As `bySocket`; `peer` is how grpc-js tells of the other end. */
    byPeer: (
      peer: () => string,
      header: () => string | undefined,
    ): Awaitable<CallerSession | null> =>
      connections ? identify(byPeer.get(peer()), header()) : null,
  };
}
