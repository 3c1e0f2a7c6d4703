import type { Socket } from "node:dgram";
import { once } from "node:events";

/** Binds to a free port, which it answers. Rejects, the socket closed, if it cannot. */
export async function bindUdp(socket: Socket, host: string): Promise<number> {
  socket.bind({ address: host, port: 0 });
  try {
    await once(socket, "listening");
  } catch (error) {
    socket.close();
    throw error;
  }
  // What a datagram sent earlier brings back, such as that nobody listens there, is nobody's error.
  socket.on("error", () => undefined);
  return socket.address().port;
}

export function closeUdp(socket: Socket): Promise<void> {
  return new Promise((closed) => socket.close(closed));
}
