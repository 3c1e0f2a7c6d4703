import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { ParsedResponse, Rejection } from "./packet.js";

/** One share request to one server. */
export interface ShareRequest {
  /** Number of the server, 0 to 24; no two requests have the same. */
  readonly raida: number;
  readonly address: string;
  readonly port: number;
  readonly datagram: Buffer;
  /** What a datagram from that server is to this request. */
  parse(datagram: Buffer): ParsedResponse;
}

/** Times in milliseconds since the requests begin. */
export interface RequestTiming {
  /** When the requests that have no answer are sent again, each time moved by up to a quarter. */
  readonly retries: readonly number[];
  /** How long others are waited for once there are enough shares. */
  readonly grace: number;
  /** When the waiting ends. */
  readonly deadline: number;
}

export interface RequestOptions {
  readonly timing: RequestTiming;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** Whether these shares suffice. */
  readonly isEnough: (shares: ReadonlyMap<number, Buffer>) => boolean;
  /** Takes the number of the server that was asked and why its datagram is not taken. */
  readonly onDropped: (raida: number, reason: Rejection | "wrong_source") => void;
}

/**
 * Sends all requests at once and collects the shares by the servers' numbers, into `shares`, which
 * are the caller's to zero. Ends when every server has answered, `grace` after there are enough,
 * or at the deadline; what is wrong is dropped and ends nothing.
 *
 * Each server is asked from a socket of its own, whose port the system picks at random, so that a
 * forger has a port to guess for each (RFC 5452). A request sent again is the same datagram.
 */
export function collectShares(
  requests: readonly ShareRequest[],
  shares: Map<number, Buffer>,
  { timing, random, isEnough, onDropped }: RequestOptions,
): Promise<void> {
  return new Promise((resolve) => {
    const sockets = new Map<number, Socket>();
    const timers: NodeJS.Timeout[] = [];
    let isGraceBegun = false;

    const end = () => {
      for (const timer of timers) clearTimeout(timer);
      for (const socket of sockets.values()) socket.close();
      sockets.clear();
      resolve();
    };
    const accept = (raida: number, share: Buffer) => {
      shares.set(raida, share);
      sockets.get(raida)?.close();
      sockets.delete(raida);
      if (sockets.size === 0) return end();
      if (isGraceBegun || !isEnough(shares)) return;
      isGraceBegun = true;
      timers.push(setTimeout(end, timing.grace));
    };

    for (const request of requests) {
      const { raida, datagram } = request;
      const socket = connectTo(request, (received, isFromServer) => {
        if (!sockets.has(raida)) return;
        if (!isFromServer) return onDropped(raida, "wrong_source");
        const parsed = request.parse(received);
        if ("share" in parsed) accept(raida, parsed.share);
        else onDropped(raida, parsed.rejection);
      });
      sockets.set(raida, socket);
      const send = () => {
        if (sockets.has(raida)) socket.send(datagram, ignore);
      };
      socket.once("connect", send);
      for (const after of timing.retries) {
        timers.push(setTimeout(() => isConnected(socket) && send(), after * (0.75 + random() / 2)));
      }
    }
    timers.push(setTimeout(end, timing.deadline));
  });
}

/** A socket that talks to one server, and says of each datagram whether it is that server's. */
function connectTo(
  { address, port }: ShareRequest,
  onDatagram: (datagram: Buffer, isFromServer: boolean) => void,
): Socket {
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
  // An unreachable server, or what claims that it is (ICMP is as easily forged), is one that is silent.
  socket.on("error", ignore);
  socket.on("message", (datagram, source) => onDatagram(datagram, isPeer(socket, source)));
  socket.connect(port, address);
  return socket;
}

/** A datagram may have come from elsewhere before the socket was connected. */
function isPeer(socket: Socket, source: RemoteInfo): boolean {
  if (!isConnected(socket)) return false;
  const peer = socket.remoteAddress();
  return peer.address === source.address && peer.port === source.port;
}

function isConnected(socket: Socket): boolean {
  try {
    socket.remoteAddress();
    return true;
  } catch {
    return false;
  }
}

function ignore(): void {}
