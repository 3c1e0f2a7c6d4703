import type { Server, Socket } from "node:net";
import { namePeer, peerOf } from "./peer.js";
import { type ProxyHeader, readProxyHeader } from "./proxy-header.js";
import { HANDSHAKE_TIMEOUT } from "./tls.js";

export interface ProxyHeaders {
  /** Whether connections of this peer, an IP address or `unix:PATH`, begin with a PROXY header. */
  readonly areSentBy: (ip: string) => boolean;
  /** Told of each connection of such a peer that began with something else, and was ended. */
  readonly onMissing: (ip: string) => void;
}

/** Connections whose header is still to come, beyond which the oldest of them is ended: a proxy
 * sends it at once, and they have no place among the connections of the listener yet. */
const MOST_UNREAD = 1_024;

/**
 * Has connections that a proxy makes for others come from those others, before the server sees
 * them: before TLS, and so for whatever it serves. To be called when all listeners of the server's
 * `connection` are there, which stay away from a connection until its header is read, and from one
 * that has no header for good. Returns what ends connections whose header is still to come.
 */
export function readProxyHeaders(
  server: Server,
  { areSentBy, onMissing }: ProxyHeaders,
): () => void {
  const unread = new Set<Socket>();
  const listeners = server.listeners("connection");
  server.removeAllListeners("connection");
  const serve = (socket: Socket) => {
    for (const listen of listeners) listen.call(server, socket);
  };
  server.on("connection", (socket: Socket) => {
    // Read at once, since a socket that is given to TLS may not be asked for it.
    const peer = peerOf(socket);
    if (!peer || !areSentBy(peer.ip)) return serve(socket);
    const [oldest] = unread;
    if (oldest && unread.size >= MOST_UNREAD) oldest.destroy();
    unread.add(socket);
    readHeader(socket, (header) => {
      unread.delete(socket);
      if (header?.source) namePeer(socket, header.source);
      if (header) return serve(socket);
      if (header === null) onMissing(peer.ip);
      socket.destroy();
    });
  });
  return () => {
    for (const socket of unread) socket.destroy();
  };
}

/**
 * Calls `done` once: with the header that a connection begins with, null if it begins with anything
 * else, or undefined if it ended or was silent for too long.
 */
function readHeader(socket: Socket, done: (header: ProxyHeader | null | undefined) => void): void {
  let bytes: Buffer = Buffer.alloc(0);
  const settle = (header?: ProxyHeader | null) => {
    clearTimeout(timer);
    socket.off("readable", read).off("error", fail).off("end", fail).off("close", fail);
    done(header);
  };
  const fail = () => settle();
  const timer = setTimeout(fail, HANDSHAKE_TIMEOUT).unref();
  const read = () => {
    const chunk: unknown = socket.read();
    if (!(chunk instanceof Buffer)) return;
    bytes = Buffer.concat([bytes, chunk]);
    const header = readProxyHeader(bytes);
    if (header === undefined) return;
    if (header && bytes.length > header.length) socket.unshift(bytes.subarray(header.length));
    settle(header);
  };
  socket.on("readable", read).on("error", fail).on("end", fail).on("close", fail);
}
