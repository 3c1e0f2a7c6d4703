import { lstat, unlink } from "node:fs/promises";
import { connect, type Server, type Socket } from "node:net";
import type { UnixAddress } from "../../lib/host.js";
import { namePeer } from "./peer.js";

/**
 * Makes room for a socket file: removes one that a server left which was killed. Rejects if somebody
 * listens on it, if that cannot be found out, or if a file of another kind is there.
 */
export async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(unlessCode("ENOENT"));
  if (!found) return;
  if (!found.isSocket()) throw new Error("a file is there that is no socket");
  if (await isListening(path)) throw new Error("another process listens there");
  const now = await lstat(path).catch(unlessCode("ENOENT"));
  // Another server, that starts at the same time, may have put its own in the place.
  if (now && (now.ino !== found.ino || now.ctimeMs !== found.ctimeMs)) {
    throw new Error("another process has just made a socket there");
  }
  await unlink(path).catch(unlessCode("ENOENT"));
}

/** Runs what binds a socket file, synchronously, so that the file never has another mode. */
export function bindWithMode<T>({ mode }: UnixAddress, bind: () => T): T {
  const before = process.umask(0o777 & ~mode);
  try {
    return bind();
  } finally {
    process.umask(before);
  }
}

/** Gives connections by a socket file what those by TCP have by themselves: an address and a port. */
export function nameUnixPeers(server: Server, { path }: UnixAddress): void {
  let port = 0;
  server.prependListener("connection", (socket: Socket) => {
    namePeer(socket, { ip: `unix:${path}`, port: ++port });
  });
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      // What is being taken away was nobody's either.
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
      else reject(error);
    });
  });
}

function unlessCode(code: string) {
  return (error: NodeJS.ErrnoException): undefined => {
    if (error.code !== code) throw error;
  };
}
