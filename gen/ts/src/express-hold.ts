import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { Writable } from "node:stream";
import type { Request } from "express";

/** Releases one hold. */
type Release = () => void;

/** How many hold a connection. */
const holds = new WeakMap<Socket, number>();

/**
 * Keeps what is written to the request's connection until the answer of this is called.
 * express-session writes the headers of a response while it saves the session, and apps end responses
 * without waiting for a save: a browser that follows a redirect at once would read what was there
 * before. HTTP/2 is not held, as other requests share its connection.
 */
export function holdConnection(req: Request | undefined): Release {
  const socket = req?.httpVersionMajor === 1 ? req.socket : undefined;
  // Tests and gateways of functions have requests whose socket is none.
  if (!(socket instanceof Writable)) return () => undefined;
  if (!holds.has(socket)) guard(socket);
  holds.set(socket, (holds.get(socket) ?? 0) + 1);
  socket.cork();
  return () => {
    const left = (holds.get(socket) ?? 1) - 1;
    holds.set(socket, left);
    if (left > 0) return;
    for (let corks = socket.writableCorked; corks > 0; corks--) socket.uncork();
  };
}

/** Node's `res.end` uncorks as often as it takes: that, too, is to wait for who holds. */
function guard(socket: Socket): void {
  const uncork = socket.uncork.bind(socket);
  socket.uncork = () => {
    if (!holds.get(socket)) uncork();
  };
}

/** Requests under way, by the session that they read: `destroy` is told the session's id only. */
export function createReaders() {
  const readers = new Map<string, Set<Request>>();
  return {
    add(req: Request): void {
      const { sessionID: sid, res } = req;
      const those = readers.get(sid) ?? new Set();
      if (!(res instanceof EventEmitter) || res.closed || those.has(req)) return;
      readers.set(sid, those.add(req));
      res.once("close", () => {
        those.delete(req);
        if (those.size === 0 && readers.get(sid) === those) readers.delete(sid);
      });
    },

    /** Holds the connections of all that read the session. */
    hold(sid: string): Release {
      const releases = [...(readers.get(sid) ?? [])].map(holdConnection);
      return () => {
        for (const release of releases) release();
      };
    },
  };
}
