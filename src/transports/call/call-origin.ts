import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import { LatchkeyError } from "../../domain/error.js";
import type { MaybePromise } from "../../lib/maybe-promise.js";
import type { CallerSession, Connection, Connections } from "../../services/access/connections.js";
import type { Place } from "../net/connection-places.js";
import { forwardedAddress, type ReadForwarded } from "../net/forwarded.js";
import { certifiedName, peerOf, textOfPeer } from "../net/peer.js";

/** Reads one of a call's headers, repeated ones joined by commas; undefined if it has none. */
type ReadHeader = (name: "authorization" | Parameters<ReadForwarded>[0]) => string | undefined;

/** Reads headers as Node has them, by HTTP/1.1 and HTTP/2: what proxies append to is one list. */
function headerReader(headers: IncomingHttpHeaders): ReadHeader {
  return (name) => {
    const value = headers[name];
    return Array.isArray(value) ? value.join(",") : value;
  };
}

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

  /** Who made a call with these headers. */
  const identify = (
    origin: Origin | undefined,
    header: ReadHeader,
  ): MaybePromise<CallerSession> => {
    if (!origin) throw new LatchkeyError("unauthenticated", "the connection has ended");
    const forwarded = forwardedAddress(origin.ip, header, isTrustedProxy);
    return origin.connection.identify(header("authorization"), forwarded);
  };

  return {
    /** Takes notice of a connection that was accepted, its handshake done. `place` is settled while
     * callers of it are known. */
    add(socket: Socket, place?: Place): void {
      if (!connections) return;
      const peer = peerOf(socket);
      if (peer === null) {
        socket.destroy();
        return;
      }
      const connection = connections.open({
        transport,
        address: textOfPeer(peer),
        ...certifiedName(socket),
        end: () => socket.destroy(),
        ...(place && { place }),
      });
      const origin = { connection, ip: peer.ip };
      bySocket.set(socket, origin);
      socket.once("close", () => connection.close());
    },

    /** Who made a call by this socket; throws or rejects with `unauthenticated`. */
    bySocket: (socket: object, headers: IncomingHttpHeaders): MaybePromise<CallerSession | null> =>
      connections ? identify(bySocket.get(socket), headerReader(headers)) : null,

    /** Where a call by this socket comes from: the peer as `textOfPeer` has it, or the IP address
     * that a trusted proxy makes it for. */
    addressOf(socket: Socket, headers: IncomingHttpHeaders): string | null {
      const peer = peerOf(socket);
      return (
        peer &&
        (forwardedAddress(peer.ip, headerReader(headers), isTrustedProxy) ?? textOfPeer(peer))
      );
    },

    /** As `addressOf`, whatever the port. */
    hostOf(socket: Socket, headers: IncomingHttpHeaders): string | null {
      const peer = peerOf(socket);
      return peer && (forwardedAddress(peer.ip, headerReader(headers), isTrustedProxy) ?? peer.ip);
    },
  };
}
