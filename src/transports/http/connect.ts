import { type DescMessage, type DescService, fromBinary, fromJsonString } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { LatchkeyError } from "../../domain/error.js";
import type { CallerSession } from "../../services/connections.js";
import type { Calls } from "../calls.js";
import { errorDetails } from "../error-details.js";
import {
  listRpcs,
  listServerStreamRpcs,
  type Rpc,
  type Rpcs,
  type ServerStreamRpc,
} from "../rpcs.js";
import { STATUS } from "../status.js";
import { type CallerOf, CHALLENGE } from "./rest-sessions/routes.js";

const MAX_REQUEST = 1024 * 1024;

/** Connect has no limits of its own. A compressed request counts by what it unpacks to. */
const LIMITS = {
  readMaxBytes: MAX_REQUEST,
  writeMaxBytes: 4 * 1024 * 1024,
  maxTimeoutMs: 60 * 60_000,
  acceptCompression: [compressionGzip],
};

/** A frame of gRPC-Web or of a Connect stream: a byte of flags and four of length before the message. */
const FRAME_PREFIX = 5;
const FLAG_COMPRESSED = 1;
const FLAG_END_STREAM = 2;

/** What says something of a body that is replaced. */
const BODY_HEADERS = [
  "content-length",
  "content-encoding",
  "grpc-encoding",
  "connect-content-encoding",
];

/** The content types of messages. */
const MESSAGE_TYPE =
  /^application\/(?:grpc-web(?:\+(?:proto|json))?|(?:connect\+)?(?:proto|json))\s*(?:;|$)/;

/** Why a request could not be decoded; empty if it could. */
const flawKey = createContextKey("");
/** The request as it came. */
const requestKey = createContextKey<FastifyRequest | null>(null);

/**
 * Serves the service by Connect and gRPC-Web at `/<service>/<method>`.
 *
 * The bodies are read here, so that one over the limit is read to its end and
 * refused while its connection serves on, and tried here, because the library
 * would answer one that cannot be decoded before asking who calls: a binary one
 * with INTERNAL, one in JSON with a quotation of it.
 */
export function addConnect<S extends DescService>(
  scope: FastifyInstance,
  service: S,
  rpcs: Rpcs<S>,
  { calls, callerOf }: { readonly calls: Calls; readonly callerOf: CallerOf },
): void {
  const implementation: Record<string, unknown> = {};
  for (const { method, name, rpc } of listRpcs(service, rpcs)) {
    implementation[method.localName] = unary(name, rpc, calls, callerOf);
  }
  for (const { method, name, rpc } of listServerStreamRpcs(service, rpcs)) {
    implementation[method.localName] = serverStream(name, rpc, calls, callerOf);
  }
  // gRPC itself needs HTTP/2; its own listener serves it, and faster.
  const router = createConnectRouter({ ...LIMITS, grpc: false });
  router.service(service, implementation as Partial<ServiceImpl<S>>);

  scope.removeAllContentTypeParsers();
  const parserOptions = { parseAs: "buffer", bodyLimit: MAX_REQUEST + FRAME_PREFIX } as const;
  scope.addContentTypeParser("*", parserOptions, (_request, body, done) => done(null, body));
  scope.setErrorHandler((error: FastifyError, request, reply) => {
    if (error.statusCode === 413) refuseLarge(request, reply);
    else reply.code(error.statusCode ?? STATUS.internal.http).send();
  });

  // HTTP/1.1 has no streams in both directions. Clients take 404 for UNIMPLEMENTED.
  const handlers = router.handlers.filter(({ method }) => method.methodKind !== "bidi_streaming");
  for (const handler of handlers) {
    scope.all(handler.requestPath, async (request, reply) => {
      reply.hijack();
      const sent = request.body instanceof Buffer ? request.body : Buffer.alloc(0);
      const flaw = await findFlaw(handler.method.input, request, sent);
      // In place of a request with a flaw goes an empty one, to be refused by the RPC.
      const body = once(flaw ? emptyBody(typeOf(request)) : sent);
      const context = createContextValues().set(flawKey, flaw).set(requestKey, request);
      try {
        const universal = universalRequestFromNodeRequest(request.raw, reply.raw, {}, context);
        if (flaw) for (const name of BODY_HEADERS) universal.header.delete(name);
        await universalResponseToNodeResponse(await handler({ ...universal, body }), reply.raw);
      } catch {
        // The caller has gone; nobody is left to be answered.
        reply.raw.destroy();
      }
    });
  }
}

function unary(name: string, rpc: Rpc, calls: Calls, callerOf: CallerOf) {
  const run = calls.of("connect", name);
  return (request: Parameters<Rpc>[0], { signal, values }: HandlerContext) => {
    const call = async () => {
      const caller = await identify(values, callerOf);
      return rpc(request, { cancelled: () => signal.aborted, caller });
    };
    const answer = Promise.resolve(run(call, undefined)).catch(fail);
    // The library tells of a deadline that passed, and waits on.
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    return Promise.race([answer, aborted]);
  };
}

function serverStream(name: string, rpc: ServerStreamRpc, calls: Calls, callerOf: CallerOf) {
  const run = calls.of("connect", name);
  return async function* (
    request: Parameters<ServerStreamRpc>[0],
    { signal, values }: HandlerContext,
  ) {
    let succeed = () => {};
    let giveUp: (error: unknown) => void = () => {};
    const ended = new Promise<void>((resolve, reject) => {
      succeed = resolve;
      giveUp = reject;
    });
    // The library does not always come back for what is left once the caller has gone.
    signal.addEventListener("abort", succeed, { once: true });
    const answered = Promise.resolve(run(() => ended, undefined)).catch(fail);
    try {
      const caller = await identify(values, callerOf);
      yield* rpc(request, { cancelled: () => signal.aborted, caller, signal });
    } catch (error) {
      giveUp(error);
      await answered;
    } finally {
      succeed();
    }
    // Of a deadline that passed the library tells nobody by itself.
    signal.throwIfAborted();
  };
}

/** Who makes the call; throws `unauthenticated`, and `invalid` if its request has a flaw. */
async function identify(
  values: HandlerContext["values"],
  callerOf: CallerOf,
): Promise<CallerSession | null> {
  const origin = values.get(requestKey);
  const caller = origin && (await callerOf(origin));
  const flaw = values.get(flawKey);
  if (flaw) throw new LatchkeyError("invalid", flaw);
  return caller;
}

/** Throws the error in Connect's form. */
function fail(error: LatchkeyError): never {
  // Connect numbers its codes as gRPC does.
  const code = STATUS[error.code].grpc as number as Code;
  const headers = error.code === "unauthenticated" ? { "www-authenticate": CHALLENGE } : undefined;
  throw new ConnectError(error.message, code, headers, errorDetails(error));
}

function typeOf(request: FastifyRequest): string {
  return request.headers["content-type"]?.toLowerCase() ?? "";
}

function isGrpcWeb(contentType: string): boolean {
  return contentType.startsWith("application/grpc-web");
}

function isConnectStream(contentType: string): boolean {
  return contentType.startsWith("application/connect+");
}

function isJson(contentType: string): boolean {
  return /^application\/(?:(?:grpc-web|connect)\+)?json\b/.test(contentType);
}

/** Bytes before the message in a body of this type. */
function prefixOf(contentType: string): number {
  return isGrpcWeb(contentType) || isConnectStream(contentType) ? FRAME_PREFIX : 0;
}

/** A body of this type whose message has no fields. */
function emptyBody(contentType: string): Buffer {
  const message = Buffer.from(isJson(contentType) ? "{}" : "");
  return prefixOf(contentType) > 0 ? framed(0, message) : message;
}

function framed(flags: number, message: Buffer): Buffer {
  const prefix = Buffer.alloc(FRAME_PREFIX);
  prefix.writeUInt8(flags);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The header that names how messages of this type are compressed. */
function encodingHeaderOf(contentType: string): string {
  if (isGrpcWeb(contentType)) return "grpc-encoding";
  return isConnectStream(contentType) ? "connect-content-encoding" : "content-encoding";
}

async function findFlaw(
  input: DescMessage,
  request: FastifyRequest,
  body: Buffer,
): Promise<string> {
  const contentType = typeOf(request);
  if (!MESSAGE_TYPE.test(contentType)) return "";
  const isFramed = prefixOf(contentType) > 0;
  let message: Uint8Array = body.subarray(prefixOf(contentType));
  if (message.length > MAX_REQUEST) return ""; // The library refuses it for its size.
  const encoding = request.headers[encodingHeaderOf(contentType)] ?? "identity";
  const isPacked = isFramed ? ((body[0] ?? 0) & FLAG_COMPRESSED) !== 0 : encoding !== "identity";
  if (isPacked) {
    // The library says what is wrong with an encoding that it does not know.
    if (encoding !== compressionGzip.name) return "";
    try {
      message = await compressionGzip.decompress(message, MAX_REQUEST);
    } catch (error) {
      const isLarge = error instanceof ConnectError && error.code === Code.ResourceExhausted;
      return isLarge ? "" : "the request is no gzip stream";
    }
  }
  try {
    if (isJson(contentType)) {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(message);
      // As the library does it.
      fromJsonString(input, text, { ignoreUnknownFields: true });
    } else {
      fromBinary(input, message);
    }
    return "";
  } catch (error) {
    const reason = error instanceof Error ? error.message : "";
    // What follows in the decoder's words on JSON quotes the request.
    const shown = isJson(contentType) ? /^cannot decode [\w.]+ [\w.]+/.exec(reason)?.[0] : reason;
    return `the request is no ${input.typeName}${shown ? `: ${shown}` : ""}`;
  }
}

/** Answers a body that was not read whole, in the form of the protocol it came by. */
function refuseLarge(request: FastifyRequest, reply: FastifyReply): void {
  const message = `the request must be at most ${MAX_REQUEST} bytes`;
  const contentType = typeOf(request);
  if (isGrpcWeb(contentType)) {
    const status = String(Code.ResourceExhausted);
    void reply
      .code(200)
      .headers({
        "content-type": contentType,
        "grpc-status": status,
        "grpc-message": encodeURI(message),
      })
      .send();
    return;
  }
  const error = { code: "resource_exhausted", message };
  if (isConnectStream(contentType)) {
    const end = framed(FLAG_END_STREAM, Buffer.from(JSON.stringify({ error })));
    void reply.code(200).header("content-type", contentType).send(end);
    return;
  }
  void reply
    .code(STATUS.limit.http)
    .header("content-type", "application/json")
    .send(JSON.stringify(error));
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}
