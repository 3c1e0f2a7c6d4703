import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import {
  createServer as createTlsServer,
  type TlsOptions,
  type Server as TlsServer,
} from "node:tls";
import type { Logger } from "pino";
import { createSparseLog } from "../../lib/sparse-log.js";
import type { Connections } from "../../services/access/connections.js";
import type { Calls } from "../call/calls.js";
import {
  createConnectionPlaces,
  type Place,
  type PlaceLimits,
  type PlaceObserver,
} from "../net/connection-places.js";
import type { Listener } from "../net/listener.js";
import { acceptedSocket, certifiedName, peerOf, textOfPeer } from "../net/peer.js";
import { type ProxyHeaders, readProxyHeaders } from "../net/proxied-connections.js";
import { createCommands } from "./commands.js";
import { type ConnectionLimits, type ServedConnection, serveConnection } from "./connection.js";
import { FRAME_LIMIT } from "./frames.js";
import { turnAway } from "./turn-away.js";

export interface CommandLimits extends ConnectionLimits, PlaceLimits {}

export const COMMAND_LIMITS: CommandLimits = {
  frame: FRAME_LIMIT,
  firstCommand: 5_000,
  idle: null,
  drain: 10_000,
  linger: 1_000,
  connections: 4_096,
  perAddress: 1_024,
};

/** Connections beyond the limits that are told so at a time; others are cut. */
const TOLD = 64;

/** Milliseconds of silence after which TCP asks whether the client is there. */
const KEEPALIVE = 60_000;

export interface CommandListenerOptions {
  /** `host:port`; port 0 picks one. */
  readonly address: string;
  /** Null where authentication is off. */
  readonly connections: Connections | null;
  readonly calls: Calls;
  readonly logger: Logger;
  /** When the server started: milliseconds since 1970. */
  readonly startedAt: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** What STATUS tells besides, names in snake_case. */
  readonly counts: () => Readonly<Record<string, number>>;
  /** What `tls.createServer` takes; null: no TLS. */
  readonly tls?: TlsOptions | null;
  readonly proxyHeaders: ProxyHeaders;
  readonly limits?: Partial<CommandLimits>;
  /** Gets notice of each connection that gave way or was refused. */
  readonly placeObserver: PlaceObserver;
}

/** Serves the command protocol (command.proto). Rejects if the address cannot be bound. */
export async function listenCommand(options: CommandListenerOptions): Promise<Listener> {
  const { connections, logger, placeObserver, tls = null } = options;
  const limits = { ...COMMAND_LIMITS, ...options.limits };
  const commands = createCommands(options);
  const sockets = new Set<Socket>();
  const served = new Set<ServedConnection>();
  const limitLog = createSparseLog<string>({
    clock: options.now,
    emit: (reason, ip, count) =>
      logger.warn({ ip, reason, count }, "a limit of the command listener was met"),
  });
  const reasons = {
    connections: `LimitError: the server takes ${limits.connections} connections`,
    perAddress: `LimitError: the server takes ${limits.perAddress} connections of one address`,
  };
  const places = createConnectionPlaces({
    limits,
    // A new connection is refused where all are authenticated; health is asked elsewhere.
    hasReserve: false,
    byIdleness: false,
    isShared: () => false,
    onLimit(limit, owner, ip) {
      placeObserver.limited(owner, limit);
      limitLog.note(reasons[limit], ip);
    },
  });
  placeObserver.watch("command", () => places.count("command"));
  const admitted = new WeakMap<Socket, Place | keyof PlaceLimits>();
  let turnedAway = 0;
  let anonymous = 0;

  /** Counts it among those turned away, until it closes; answers how many there are. */
  const countTurnedAway = (socket: Socket) => {
    socket.once("close", () => turnedAway--);
    return ++turnedAway;
  };

  // Before TLS: who only shakes hands counts too.
  const admit = (socket: Socket) => {
    const place = places.admit(socket, "command");
    if (typeof place === "string" && countTurnedAway(socket) > TOLD) socket.destroy();
    sockets.add(socket);
    admitted.set(socket, place);
    socket.once("close", () => sockets.delete(socket));
  };

  const serve = (socket: Socket) => {
    const peer = peerOf(socket);
    if (socket.destroyed || peer === null) {
      socket.destroy();
      return;
    }
    const address = textOfPeer(peer);
    const place = admitted.get(acceptedSocket(socket));
    if (place === undefined || typeof place === "string") {
      if (place === undefined) socket.destroy();
      else turnAway(socket, `${++anonymous}-${address}`, reasons[place], limits.linger);
      return;
    }
    const connection =
      connections?.open({
        transport: "command",
        address,
        ...certifiedName(socket),
        end: () => socket.destroy(),
      }) ?? null;
    const clientId = connection?.id ?? `${++anonymous}-${address}`;
    const one = serveConnection(socket, {
      clientId,
      conversation: commands.converse(connection, clientId),
      limits,
      onAuthenticated: place.settle,
      onLimit: (reason) => limitLog.note(reason, address),
    });
    place.onEvicted((limit) => {
      if (countTurnedAway(socket) > TOLD) socket.destroy();
      else one.end(reasons[limit]);
    });
    served.add(one);
    socket.once("close", () => {
      served.delete(one);
      connection?.close();
    });
  };

  const tcp = { keepAlive: true, keepAliveInitialDelay: KEEPALIVE };
  const secure: TlsServer | null =
    tls && createTlsServer({ ...tls, ...tcp, handshakeTimeout: limits.firstCommand });
  const server: Server = secure ?? createServer(tcp);
  server.prependListener("connection", admit);
  server.on(secure ? "secureConnection" : "connection", serve);
  const dropUnread = readProxyHeaders(server, options.proxyHeaders);
  server.on("tlsClientError", (err, socket: Socket) => {
    logger.debug({ err }, "TLS handshake failed");
    // Of a handshake that takes too long Node tells, and leaves the connection open.
    socket.destroy();
  });

  const address = await listen(server, options.address);
  server.on("error", (err) => logger.warn({ err }, "a command connection was not accepted"));
  return {
    address,
    reloadTls: (options) => secure?.setSecureContext(options),
    // Nothing in the protocol says that the server is about to stop.
    drain: () => {},
    async close(grace) {
      const closed = new Promise((resolve) => server.close(resolve));
      dropUnread();
      const cut = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, grace);
      // What has reached the machine is read before the second turn; the first may come at once.
      for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate);
      for (const one of served) one.finish();
      await closed;
      clearTimeout(cut);
    },
  };
}

function listen(server: Server, address: string): Promise<string> {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(Number(address.slice(colon + 1)), host.replace(/^\[|\]$/g, ""), () => {
      server.removeListener("error", reject);
      const { port } = server.address() as AddressInfo; // As a server has that listens on a port.
      resolve(`${host}:${port}`);
    });
  });
}
