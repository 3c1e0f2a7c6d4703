import { lookup } from "node:dns/promises";
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type RequestListener,
} from "node:http";
import { createServer as createHttpsServer, Server as HttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import swagger from "@fastify/swagger";
import Fastify, { type FastifyError, type FastifyServerFactory } from "fastify";
import { RkeService } from "../../../gen/ts/latchkey/rke/v1/rke_service_pb.js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { LatchkeyError } from "../../domain/error.js";
import { LIMITS } from "../../domain/limits.js";
import { parseUnixAddress, type UnixAddress } from "../../lib/host.js";
import type { LineLog } from "../../lib/line-log.js";
import type { Authorization } from "../../services/access/authorization.js";
import type { Callers } from "../../services/access/callers.js";
import type { Admission } from "../call/admission.js";
import type { CallOrigins } from "../call/call-origin.js";
import type { Calls } from "../call/calls.js";
import type { Pace } from "../call/pace.js";
import type { UnreadAnswers } from "../call/unread-answers.js";
import type { ConnectionAges } from "../net/connection-age.js";
import type { ConnectionPlaces } from "../net/connection-places.js";
import type { IsPublic, Listener } from "../net/listener.js";
import { type ProxyHeaders, readProxyHeaders } from "../net/proxied-connections.js";
import { BACKLOG, listenTcp } from "../net/tcp.js";
import { HANDSHAKE_TIMEOUT, type Tls } from "../net/tls.js";
import { bindWithMode, nameUnixPeers, removeStale } from "../net/unix-socket.js";
import type { Rpcs } from "../rpc/rpcs.js";
import { createFrameworkErrors } from "./answers/framework-errors.js";
import { sendError } from "./answers/send-error.js";
import { createAdmit } from "./checks/admission.js";
import { createCallerCheck } from "./checks/caller-check.js";
import { createOriginGuard } from "./checks/origin-guard.js";
import { checkRequest } from "./checks/request-check.js";
import { addConnect } from "./connect/connect.js";
import { addCurrentSession } from "./current-session.js";
import { addOperations, type MetricsText } from "./operations.js";
import type { CallerOf } from "./requests/caller.js";
import { addBodyParsers } from "./requests/json-parsers.js";
import { transform } from "./requests/openapi.js";
import { createRequestBodies, type RequestBodiesOptions } from "./requests/request-bodies.js";
import { createDiscards } from "./requests/unread-body.js";
import { addRestSessions } from "./rest-sessions/routes.js";
import { transformObject } from "./rest-sessions/schemas.js";
import { addRkeEndpoints } from "./rke/routes.js";

/** What begins like a media type, `type/subtype`. RFC 9110, 8.3.1. */
const MEDIA_TYPE = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+\s*(?:;|$)/;

/** How often (ms) a server that closes looks for connections that have become idle. */
const IDLE_INTERVAL = 50;

/** A slow sender is cut; node:http would wait 60 s for headers and 300 s in all. */
const TIMEOUTS = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 1_000,
  keepAliveTimeout: 72_000,
  handshakeTimeout: HANDSHAKE_TIMEOUT,
};

/**
 * No route has a schema: use cases check what comes. Fastify would load its compilers all the same,
 * and a start would wait for that.
 */
const NO_SCHEMAS = { buildValidator: refuseSchemas, buildSerializer: refuseSchemas };

function refuseSchemas(): never {
  throw new Error("a route has a schema, which nothing would check");
}

export interface HttpOptions {
  /** `host:port`, port 0 picks one; or `unix:PATH`. */
  readonly address: string;
  /** Hosts that requests may carry, and origins whose pages may call: see `OriginGuardOptions`. */
  readonly hosts: readonly string[];
  readonly origins: readonly string[];
  /** The package's version, for /openapi.json. */
  readonly version: string;
  readonly sessionsOf: Authorization["sessionsOf"];
  readonly callers: Pick<Callers, "current">;
  readonly sessionRpcs: Rpcs<typeof SessionService>;
  readonly rkeOf: Authorization["rkeOf"];
  readonly rkeRpcs: Rpcs<typeof RkeService>;
  readonly callOrigins: CallOrigins;
  readonly connectionAges: ConnectionAges;
  readonly proxyHeaders: ProxyHeaders;
  readonly places: ConnectionPlaces;
  /** What may be called without credentials. */
  readonly isPublic: IsPublic;
  readonly tls: Tls | null;
  readonly calls: Calls;
  readonly admission: Admission;
  readonly strangers: Pace;
  readonly budget: RequestBodiesOptions["budget"];
  readonly observer: RequestBodiesOptions["observer"];
  readonly unread: UnreadAnswers;
  /** Gets a line for each request that is refused for its host or origin. */
  readonly logger: Pick<LineLog, "warn">;
  readonly metrics: MetricsText;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Rejects if the store cannot serve. */
  readonly ping: () => Promise<void>;
}

/** Serves the JSON gateway, Connect, gRPC-Web, health and metrics. Rejects if it cannot bind. */
export async function listenHttp(options: HttpOptions): Promise<Listener> {
  let draining = false;
  let dropUnread = () => {};
  const file = parseUnixAddress(options.address);
  const colon = options.address.lastIndexOf(":");
  // Who reaches the file is on this machine, as who reaches loopback is.
  const host = file ? "localhost" : options.address.slice(0, colon);
  const { admission, callOrigins, connectionAges, places, tls } = options;
  const addressOf = ({ socket, headers }: IncomingMessage) =>
    callOrigins.addressOf(socket, headers);
  const toCallerError = createFrameworkErrors(options.calls.refusals("http"), LIMITS.dataBytes);
  const guard = createOriginGuard({ ...options, boundTo: host, addressOf });
  const admit = createAdmit(admission);
  const callers = createCallerCheck({
    ...options,
    identify: ({ socket, headers }) => callOrigins.bySocket(socket, headers),
  });
  const discardBody = createDiscards();
  const bodies = createRequestBodies({ ...options, ownerOf: callers.ownerOf });
  const callerOf: CallerOf = ({ raw }) => callers.callerOf(raw);
  /** The last that was found to be a media type: nearly always the next one, too. */
  let lastType: string | undefined;
  const accepted = tls ? "secureConnection" : "connection";
  const serverFactory: FastifyServerFactory = (handler) => {
    // Before all else, so that whatever answers is guarded, and what is refused costs least.
    const serve: RequestListener = (request, response) => {
      // Node closes the connection after this answer, and says so in it.
      if (connectionAges.isOver(request.socket)) response.shouldKeepAlive = false;
      if (!checkRequest(request, response) || !guard(request, response)) return;
      callers.check(request, response, () => take(request, response));
    };
    const take: RequestListener = (request, response) => {
      if (!admit(request, response)) return;
      bodies.open(request, response);
      // Fastify refuses what is no media type at all, before any parser sees it.
      const type = request.headers["content-type"];
      if (type !== undefined && type !== lastType) {
        if (MEDIA_TYPE.test(type)) lastType = type;
        else request.headers["content-type"] = "unknown/unknown";
      }
      handler(request, response);
    };
    const server = tls
      ? createHttpsServer({ ...TIMEOUTS, ...tls }, serve)
      : createHttpServer(TIMEOUTS, serve);
    server.on(accepted, (socket: Socket) => {
      connectionAges.add(socket);
      callOrigins.add(socket, places.placeOf(socket));
    });
    // Before TLS: who only shakes hands has a place, too.
    server.prependListener("connection", (socket: Socket) => {
      if (typeof places.admit(socket, "http") === "string") socket.destroy();
    });
    dropUnread = readProxyHeaders(server, options.proxyHeaders);
    if (file) {
      bindFile(server, file);
      nameUnixPeers(server, file);
    }
    return server;
  };
  const app = Fastify({
    serverFactory,
    schemaController: { compilersFactory: NO_SCHEMAS },
    logger: false, // Its lines hold URLs, and those hold tokens.
    forceCloseConnections: "idle",
    routerOptions: {
      ignoreTrailingSlash: true,
      // Longer than any request line that Node lets through: endpoints judge lengths.
      maxParamLength: 65_536,
    },
    frameworkErrors: (error, _request, reply) => {
      sendError(reply, toCallerError(error), error.statusCode);
    },
  });
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    const shown = toCallerError(error);
    sendError(reply, shown, shown.code === "invalid" ? error.statusCode : undefined);
  });
  app.addHook("onSend", (request, reply, payload, done) => {
    const { complete, headers } = request.raw;
    const isBare = headers["content-length"] === undefined && !headers["transfer-encoding"];
    if (complete || isBare) return done(null, payload);
    // Fastify would close at once the connection of a body over the limit.
    discardBody(request.raw, (isWhole) => {
      const closes = reply.getHeader("connection") === "close";
      if (isWhole && closes && !draining) reply.removeHeader("connection");
      done(null, payload);
    });
  });
  // What has no route has no use for a body.
  app.removeAllContentTypeParsers();
  app.setNotFoundHandler((_request, reply) =>
    sendError(reply, new LatchkeyError("not_found", "no such path or method: see /openapi.json")),
  );

  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Latchkey: the endpoints of rest-sessions and of RKE",
        version: options.version,
      },
    },
    transform,
    transformObject,
  });
  await app.register(async (scope) => {
    addBodyParsers(scope, bodies, LIMITS.dataBytes);
    addRestSessions(scope, { ...options, callerOf, isDraining: () => draining });
  });
  await app.register(async (scope) => {
    addRkeEndpoints(scope, { ...options, callerOf, bodies, isDraining: () => draining });
  });
  const connectOptions = {
    ...{ calls: options.calls, callerOf, bodies, unread: options.unread },
    addressOf: ({ socket, headers }: IncomingMessage) => callOrigins.hostOf(socket, headers) ?? "",
  };
  await app.register(async (scope) => {
    addConnect(scope, SessionService, options.sessionRpcs, connectOptions);
  });
  await app.register(async (scope) => {
    addConnect(scope, RkeService, options.rkeRpcs, connectOptions);
  });
  addCurrentSession(app, { ...options, callerOf });
  addOperations(app, {
    callerOf,
    isPublic: options.isPublic,
    ready: async () => {
      if (draining) throw new LatchkeyError("unavailable", "the server is stopping");
      await options.ping();
    },
    toCallerError,
    metrics: options.metrics,
  });

  const { server } = app;
  const listenOnFile = async ({ path }: UnixAddress) => {
    await removeStale(path);
    await app.listen({ path, backlog: BACKLOG });
    return { address: `unix:${path}`, others: null };
  };
  const listenOnPort = async () => {
    // A server listens on one address, and `localhost` may have two.
    const { address: first } = await lookup(host.replace(/^\[|\]$/g, ""));
    const wanted = Number(options.address.slice(colon + 1));
    await app.listen({ host: first, port: wanted, backlog: BACKLOG });
    const { port } = server.address() as AddressInfo;
    const address = `${host}:${port}`;
    const beside = { address, tls: null, proxyHeaders: null, except: first };
    const others = await listenTcp(beside, (socket) => {
      socket.setNoDelay(); // As Node's own HTTP servers do.
      server.emit("connection", socket);
    }).catch(async (error) => {
      await app.close();
      throw error;
    });
    return { address, others };
  };
  const { address, others } = await (file ? listenOnFile(file) : listenOnPort());

  return {
    address,
    reloadTls: (changed) => {
      if (server instanceof HttpsServer) server.setSecureContext(changed);
    },
    drain: () => {
      draining = true;
    },
    close: async (grace) => {
      const cut = setTimeout(() => server.closeAllConnections(), grace);
      // Connections that were busy when the server closed are kept alive when they are not.
      const idle = setInterval(() => server.closeIdleConnections(), IDLE_INTERVAL);
      const closed = Promise.all([app.close(), others?.close()]);
      dropUnread();
      await closed;
      clearTimeout(cut);
      clearInterval(idle);
    },
  };
}

/** Has the server's own `listen`, which Fastify calls, make the file with its mode. */
function bindFile(server: HttpServer, file: UnixAddress): void {
  const listen = server.listen.bind(server) as (...args: unknown[]) => HttpServer;
  const withMode = (...args: unknown[]) => bindWithMode(file, () => listen(...args));
  Object.defineProperty(server, "listen", { value: withMode });
}
