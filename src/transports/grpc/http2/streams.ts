import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { constants } from "node:http2";
import type { Server as NetServer, Socket } from "node:net";
import type { Server, StatusObject } from "@grpc/grpc-js";

/** Begins a call. */
export type TakeStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** Whether a call may begin that has these names and values; if not, it has been ended. */
export type AdmitHeaders = (stream: ServerHttp2Stream, list: readonly string[]) => boolean;

/**
 * Puts `take` before grpc-js, whose own hooks come when it has begun a call; `admits` is asked first.
 * Returns what a connection is handed over with, by which socket a session came, and what hands a
 * call to grpc-js. To be called once the server has its injector.
 */
export function interceptStreams(server: Server, admits: AdmitHeaders, take: TakeStream) {
  const servers: unknown = Reflect.get(server, "http2Servers");
  const [http2] = servers instanceof Map ? (servers.keys() as Iterable<NetServer>) : [];
  const [serve, ...others] = http2?.listeners("stream") ?? [];
  if (!http2 || !serve || others.length > 0) {
    throw new Error("grpc-js takes its HTTP/2 streams elsewhere");
  }
  http2.removeAllListeners("stream");
  http2.on(
    "stream",
    (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, list: string[]) => {
      if (admits(stream, list)) take(stream, headers);
    },
  );
  const sockets = new WeakMap<object, Socket>();
  const allowed = new WeakSet<object>();
  let opening: Socket | undefined;
  let opened: ServerHttp2Session | undefined;
  http2.on("session", (session: ServerHttp2Session) => {
    // A session is made while its connection is handed over.
    if (!opening) return;
    sockets.set(session, opening);
    opened = session;
  });
  return {
    proceed: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void =>
      serve.call(http2, stream, headers),

    /** Hands a connection over by `inject`, and returns its session. */
    connect(socket: Socket, inject: (socket: Socket) => void): ServerHttp2Session | undefined {
      opening = socket;
      opened = undefined;
      inject(socket);
      opening = undefined;
      return opened;
    },
    socketOf: (stream: ServerHttp2Stream): Socket | undefined =>
      stream.session && sockets.get(stream.session),

    /** Lets the connection of a call have `most` calls at a time from here on. */
    allow({ session }: ServerHttp2Stream, most: number): void {
      if (!session || session.destroyed || allowed.has(session)) return;
      allowed.add(session);
      session.settings({ maxConcurrentStreams: most });
    },
  };
}

/** The HTTP/2 stream of a call as handlers of grpc-js are given it; undefined if it is elsewhere. */
export function streamOf(call: object): ServerHttp2Stream | undefined {
  const inner: unknown = Reflect.get(call, "call");
  const stream: unknown = inner instanceof Object ? Reflect.get(inner, "stream") : undefined;
  return stream instanceof Object ? (stream as ServerHttp2Stream) : undefined;
}

/**
 * Ends a call with a status, or resets its stream if an answer was begun. What comes of its request
 * later is thrown away.
 */
export function endStream(stream: ServerHttp2Stream, status: Partial<StatusObject>): void {
  if (stream.destroyed || stream.closed || stream.writableEnded) return;
  if (stream.headersSent) {
    stream.close(constants.NGHTTP2_CANCEL);
    return;
  }
  const headers = {
    ":status": 200,
    "content-type": "application/grpc+proto",
    "grpc-status": `${status.code}`,
    "grpc-message": encodeURI(status.details ?? ""),
    ...status.metadata?.toHttp2Headers(),
  };
  stream.respond(headers, { endStream: true });
  // grpc-js may have the call, and its deadline may pass before the stream is closed.
  stream.respond = () => {};
  stream.resume();
  // Earlier, the answer itself would be dropped. RFC 9113, 8.1, has this for requests that are not whole.
  stream.once("finish", () => setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR)));
}

/** Ends a call whose caller makes too many, without a word. RFC 9113, 7: ENHANCE_YOUR_CALM. */
export function resetStream(stream: ServerHttp2Stream): void {
  stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
}

/** An error of a stream is followed by its `close`. */
export function ignoreError(): void {}
