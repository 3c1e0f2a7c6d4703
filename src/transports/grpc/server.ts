import type { ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import {
  type ChannelOptions,
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
} from "@grpc/grpc-js";
import { RkeService } from "../../../gen/ts/latchkey/rke/v1/rke_service_pb.js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import type { Admission } from "../call/admission.js";
import type { ByteBudget } from "../call/byte-budget.js";
import type { CallOrigins } from "../call/call-origin.js";
import type { CallObserver, Calls } from "../call/calls.js";
import type { Pace } from "../call/pace.js";
import type { UnreadAnswers } from "../call/unread-answers.js";
import type { ConnectionPlaces } from "../net/connection-places.js";
import type { StartIdleTimer } from "../net/idle-timer.js";
import type { IsPublic, Listener } from "../net/listener.js";
import type { ProxyHeaders } from "../net/proxied-connections.js";
import { listenTcp } from "../net/tcp.js";
import type { Tls } from "../net/tls.js";
import type { Rpcs } from "../rpc/rpcs.js";
import { createHeaderLists } from "./header-lists.js";
import { addHealth } from "./health.js";
import { createIntake, STRANGERS_CALLS } from "./intake.js";
import { toGrpcService } from "./methods/service.js";
import { addReflection } from "./reflection.js";

/** Bytes of a request. The largest is an update of 60,000 bytes of JSON, at most about seven times
 * that as a Struct; RKE's batches end here. */
const MAX_MESSAGE = 1024 * 1024;

/** Milliseconds between looks for calls whose messages do not become whole. */
const EXPIRY_INTERVAL = 1_000;

/** grpc-js leaves all of these but the first unlimited. */
const LIMITS: ChannelOptions = {
  "grpc.max_receive_message_length": MAX_MESSAGE,
  // A page of a list and a batch end at 3 MiB; this is what clients accept by default.
  "grpc.max_send_message_length": 4 * 1024 * 1024,
  "grpc.max_concurrent_streams": STRANGERS_CALLS,
  "grpc-node.max_session_memory": 32,
  // Statistics of every call and connection, which no service of ours shows.
  "grpc.enable_channelz": 0,
  // A peer that is silent or gone does not keep its connection.
  "grpc.max_connection_idle_ms": 15 * 60_000,
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
};

/** Milliseconds that calls have to end, streams above all, on a connection past its age. */
const AGE_GRACE = 10 * 60_000;

/** Bytes of a call's metadata, counted as RFC 9113, 6.5.2, has it. */
const MAX_METADATA = 64 * 1024;

export interface GrpcOptions {
  /** `host:port`, port 0 picks one; or `unix:PATH`. */
  readonly address: string;
  readonly sessionRpcs: Rpcs<typeof SessionService>;
  readonly rkeRpcs: Rpcs<typeof RkeService>;
  readonly calls: Calls;
  readonly admission: Admission;
  readonly strangers: Pace;
  readonly callOrigins: CallOrigins;
  /** Gets notice of calls that are refused for what they would take of memory. */
  readonly observer: Pick<CallObserver, "refused">;
  /** Bytes that requests may hold. */
  readonly budget: ByteBudget;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** What may be called without credentials. */
  readonly isPublic: IsPublic;
  readonly tls: Tls | null;
  readonly proxyHeaders: ProxyHeaders;
  readonly places: ConnectionPlaces;
  /** Milliseconds after which clients are asked to connect anew; null: never. */
  readonly maxConnectionAge: number | null;
  /** What ends streams in which nothing moves. */
  readonly startIdleTimer: StartIdleTimer;
  readonly unread: UnreadAnswers;
}

/** Serves gRPC with health and reflection. Rejects if the address cannot be bound. */
export async function listenGrpc(options: GrpcOptions): Promise<Listener> {
  const { address, sessionRpcs, rkeRpcs, callOrigins, tls, proxyHeaders, places } = options;
  const { maxConnectionAge } = options;
  // It writes to standard error what it also throws, in lines that are no log lines.
  setLogVerbosity(logVerbosity.NONE);
  // grpc-js takes a tenth more or less for each connection. A call that crosses its GOAWAY is refused
  // unprocessed, and clients send it again by the next connection.
  const ageLimits = maxConnectionAge !== null && {
    "grpc.max_connection_age_ms": maxConnectionAge,
    "grpc.max_connection_age_grace_ms": AGE_GRACE,
  };
  const server = new Server({ ...LIMITS, ...ageLimits });
  limitMetadata(server);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const headerLists = createHeaderLists(options);
  const intake = createIntake({
    ...options,
    server,
    admits: headerLists.admits,
    maxMessage: MAX_MESSAGE,
    streaming: new Set([...streamsOf(SessionService), ...streamsOf(RkeService)]),
    identify: (socket = NO_SOCKET, headers) => callOrigins.bySocket(socket, headers),
    hostOf: (socket, headers) => (socket && callOrigins.hostOf(socket, headers)) ?? "",
  });
  const services: DescService[] = [];
  const serve = <S extends DescService>(service: S, rpcs: Rpcs<S>) => {
    const { definition, implementation } = toGrpcService(service, rpcs, { ...options, ...intake });
    server.addService(definition, implementation);
    services.push(service);
  };
  serve(SessionService, sessionRpcs);
  serve(RkeService, rkeRpcs);

  const names = ["", ...services.map(({ typeName }) => typeName)];
  const health = addHealth(server, { names });
  addReflection(server, services);

  const sockets = new Set<Socket>();
  const listening = await listenTcp(
    {
      address,
      tls: tls && { ...tls, ALPNProtocols: ["h2"] },
      proxyHeaders,
      admit(socket) {
        if (typeof places.admit(socket, "grpc") === "string") socket.destroy();
      },
    },
    (socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      const place = places.placeOf(socket);
      callOrigins.add(socket, place);
      const session = intake.connect(socket, injector.injectConnection);
      if (session && place) headerLists.add(session, place);
      place?.onEvicted(() => sendAway(session, socket));
    },
  );

  const expiring = setInterval(intake.expire, EXPIRY_INTERVAL).unref();

  return {
    address: listening.address,
    reloadTls: listening.reloadTls,
    drain: health.stop,
    async close(grace) {
      const closed = listening.close();
      // What outlives the grace, a health watch say, is cut.
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, grace);
      // Its own word that it is done is not waited for: it never comes if a session was destroyed
      // in this very turn, for Node.js calls nobody back who closes such a one.
      server.tryShutdown(() => {});
      await closed;
      clearTimeout(timer);
      clearInterval(expiring);
    },
  };
}

/** Ends a connection, of whose calls under way its client learns that they are not to be repeated. */
function sendAway(session: ServerHttp2Session | undefined, socket: Socket): void {
  if (session && !session.destroyed) session.goaway();
  // The GOAWAY is sent in this turn.
  setImmediate(() => socket.destroy());
}

/** In place of a connection that has ended; nobody calls by it. */
const NO_SOCKET = {};

/** The paths of a service's RPCs whose requests are streams. */
function streamsOf({ typeName, methods }: DescService): string[] {
  return methods
    .filter(({ methodKind }) => methodKind === "bidi_streaming")
    .map(({ name }) => `/${typeName}/${name}`);
}

/**
 * Announces how much metadata a call may have, and has a call alone reset that brings more. grpc-js
 * has no option for it: by its own settings it announces no limit, and clients send what then ends
 * their connection, for nghttp2 takes a value of more than 64 KiB for a fault of the connection.
 */
function limitMetadata(server: Server): void {
  const options: unknown = Reflect.get(server, "commonServerOptions");
  const settings = options instanceof Object ? Reflect.get(options, "settings") : undefined;
  if (!(settings instanceof Object)) throw new Error("grpc-js keeps its HTTP/2 settings elsewhere");
  Reflect.set(settings, "maxHeaderListSize", MAX_METADATA);
}
