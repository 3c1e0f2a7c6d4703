import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions, Server as TlsServer } from "node:tls";
import { parseUnixAddress, type UnixAddress } from "../../lib/host.js";
import { type ProxyHeaders, readProxyHeaders } from "./proxied-connections.js";
import { HANDSHAKE_TIMEOUT } from "./tls.js";
import { bindWithMode, nameUnixPeers, removeStale } from "./unix-socket.js";

/** Connections that the system holds for a server that is busy; Node's 511 lose those of a burst. */
export const BACKLOG = 4_096;

export interface TcpOptions {
  /** `host:port`; port 0 picks one. Or a socket file, `unix:PATH`. */
  readonly address: string;
  /** Null: no TLS. */
  readonly tls: TlsOptions | null;
  /** Null: connections are not looked into, and are served as they were accepted. */
  readonly proxyHeaders: ProxyHeaders | null;
  /** Sees each connection before its TLS handshake, and may end it. */
  readonly admit?: (socket: Socket) => void;
  /** One of the host's addresses that is served already, by another server. */
  readonly except?: string;
}

export interface TcpListener {
  /** Where it listens: `host:port`, the port as bound, or `unix:PATH`. */
  readonly address: string;
  /** The certificates of connections to come. */
  reloadTls(tls: TlsOptions): void;
  /** Accepts no more; connections go on. Settles when the last of them has ended. */
  close(): Promise<void>;
}

interface Listening {
  readonly server: Server;
  /** Ends connections that are not accepted yet. */
  readonly drop: () => void;
}

/**
 * Accepts connections, their TLS handshakes done, on every address that the host
 * has. Rejects if one cannot be bound, but for those after the first that the machine does not
 * have: `localhost` may name an IPv6 address where there is no IPv6.
 */
export async function listenTcp(
  { address, tls, proxyHeaders, admit, except }: TcpOptions,
  accept: (socket: Socket) => void,
): Promise<TcpListener> {
  const make = (): Listening => {
    const server = tls ? createSecure(tls, accept) : createServer(accept);
    if (admit) server.prependListener("connection", admit);
    const drop = proxyHeaders ? readProxyHeaders(server, proxyHeaders) : () => {};
    return { server, drop };
  };
  const file = parseUnixAddress(address);
  if (file) return listenUnix(file, make());
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon);
  const addresses = await lookup(host.replace(/^\[|\]$/g, ""), { all: true });
  const listening: Listening[] = [];
  let port = Number(address.slice(colon + 1));
  try {
    for (const { address: ip } of addresses) {
      if (ip === except) continue;
      const one = make();
      const { server } = one;
      server.listen({ host: ip, port, backlog: BACKLOG });
      try {
        await once(server, "listening");
      } catch (error) {
        const isFirst = listening.length === 0 && except === undefined;
        if (isFirst || (error as NodeJS.ErrnoException).code !== "EADDRNOTAVAIL") throw error;
        continue;
      }
      listening.push(one);
      // A port that was picked is the same for all.
      port = (server.address() as AddressInfo).port;
    }
  } catch (error) {
    for (const { server } of listening) server.close();
    throw error;
  }
  return listenerOf(listening, `${host}:${port}`);
}

async function listenUnix(file: UnixAddress, one: Listening): Promise<TcpListener> {
  const { server } = one;
  await removeStale(file.path);
  nameUnixPeers(server, file);
  bindWithMode(file, () => server.listen({ path: file.path, backlog: BACKLOG }));
  await once(server, "listening");
  return listenerOf([one], `unix:${file.path}`);
}

function listenerOf(listening: readonly Listening[], address: string): TcpListener {
  return {
    address,
    reloadTls(options) {
      for (const { server } of listening) {
        if (server instanceof TlsServer) server.setSecureContext(options);
      }
    },
    async close() {
      const closed = listening.map(({ server }) => new Promise((ended) => server.close(ended)));
      for (const { drop } of listening) drop();
      await Promise.all(closed);
    },
  };
}

function createSecure(tls: TlsOptions, accept: (socket: Socket) => void): Server {
  const server = createTlsServer({ handshakeTimeout: HANDSHAKE_TIMEOUT, ...tls }, accept);
  // A handshake that failed or took too long leaves its socket to us.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return server;
}
