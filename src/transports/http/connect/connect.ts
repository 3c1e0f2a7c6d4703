import type { IncomingMessage, ServerResponse } from "node:http";
import type { DescService } from "@bufbuild/protobuf";
import {
  type Code,
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
import type { FastifyError, FastifyInstance, FastifyRequest } from "fastify";
import { LatchkeyError } from "../../../domain/error.js";
import type { CallerSession } from "../../../services/access/connections.js";
import type { Calls } from "../../call/calls.js";
import { errorDetails } from "../../call/error-details.js";
import { STATUS } from "../../call/status.js";
import type { UnreadAnswers } from "../../call/unread-answers.js";
import {
  listRpcs,
  listServerStreamRpcs,
  type Rpc,
  type Rpcs,
  type ServerStreamRpc,
} from "../../rpc/rpcs.js";
import { createErrorAnswers } from "../answers/error-answers.js";
import { ERROR_HEADERS } from "../answers/error-headers.js";
import type { CallerOf } from "../requests/caller.js";
import type { RequestBodies } from "../requests/request-bodies.js";
import {
  BODY_HEADERS,
  createDecoder,
  type Decoded,
  emptyBody,
  MAX_BODY,
  MAX_REQUEST,
  refuseLarge,
  refuseText,
} from "./bodies.js";
import { createStreamAnswer, type StreamAnswer } from "./stream-answer.js";

/** Connect has no limits of its own. A compressed request counts by what it unpacks to. */
const LIMITS = {
  readMaxBytes: MAX_REQUEST,
  writeMaxBytes: 4 * 1024 * 1024,
  maxTimeoutMs: 60 * 60_000,
  acceptCompression: [compressionGzip],
};

export interface ConnectOptions {
  readonly calls: Calls;
  readonly callerOf: CallerOf;
  readonly bodies: Pick<RequestBodies, "read" | "unpack">;
  readonly unread: UnreadAnswers;
  /** The address that a request came from. */
  readonly addressOf: (request: IncomingMessage) => string;
}

/** The request's message as it was decoded here; null if the library decodes it. */
const decodedKey = createContextKey<Decoded>(null);
/** What sends the answers of a stream; null if it is none. */
const streamKey = createContextKey<StreamAnswer | null>(null);
/** The request as it came. */
const requestKey = createContextKey<FastifyRequest | null>(null);

/**
 * Serves the service by Connect and gRPC-Web at `/<service>/<method>`.
 *
 * The bodies are read here, so that one over the limit is read to its end and
 * refused while its connection serves on, and decoded here, because the library
 * would answer a binary one that cannot be with INTERNAL, and one in JSON with a
 * quotation of it.
 */
export function addConnect<S extends DescService>(
  scope: FastifyInstance,
  service: S,
  rpcs: Rpcs<S>,
  { calls, callerOf, bodies, unread, addressOf }: ConnectOptions,
): void {
  const implementation: Record<string, unknown> = {};
  for (const { method, name, rpc } of listRpcs(service, rpcs)) {
    implementation[method.localName] = unary(name, rpc, calls, callerOf);
  }
  for (const { method, name, rpc } of listServerStreamRpcs(service, rpcs)) {
    implementation[method.localName] = serverStream(name, rpc, { calls, callerOf, addressOf });
  }
  // gRPC itself needs HTTP/2; its own listener serves it, and faster.
  const router = createConnectRouter({ ...LIMITS, grpc: false });
  router.service(service, implementation as Partial<ServiceImpl<S>>);

  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser("*", (request, payload, done) =>
    bodies.read(request, payload, MAX_BODY, done),
  );
  scope.setErrorHandler((error: FastifyError | LatchkeyError, request, reply) => {
    if (error instanceof LatchkeyError) {
      const { status, headers, body } = createErrorAnswers(error)(request.raw);
      reply.code(status).headers(headers).send(body);
    } else if (error.statusCode === 413) refuseLarge(request, reply);
    else reply.code(error.statusCode ?? STATUS.internal.http).send();
  });

  const openStream = async (request: FastifyRequest, response: ServerResponse) => {
    const caller = await callerOf(request);
    return createStreamAnswer(response, unread, caller?.account.id ?? addressOf(request.raw));
  };

  // HTTP/1.1 has no streams in both directions. Clients take 404 for UNIMPLEMENTED.
  const handlers = router.handlers.filter(({ method }) => method.methodKind !== "bidi_streaming");
  for (const handler of handlers) {
    const decode = createDecoder({ ...bodies, input: handler.method.input });
    const isStream = handler.method.methodKind === "server_streaming";
    scope.all(handler.requestPath, async (request, reply) => {
      if (refuseText(request, reply)) return reply;
      const sent = request.body instanceof Buffer ? request.body : Buffer.alloc(0);
      const decoded = await decode(request, sent);
      reply.hijack();
      // In place of what is decoded goes an empty request, for the library not to decode it again.
      const body = once(decoded ? emptyBody(request) : sent);
      const context = createContextValues().set(decodedKey, decoded).set(requestKey, request);
      try {
        const stream = isStream ? await openStream(request, reply.raw) : null;
        context.set(streamKey, stream);
        const universal = universalRequestFromNodeRequest(request.raw, reply.raw, {}, context);
        if (decoded) for (const name of BODY_HEADERS) universal.header.delete(name);
        const answer = await handler({ ...universal, body });
        if (stream) await stream.end(answer);
        else await universalResponseToNodeResponse(answer, reply.raw);
      } catch {
        // The caller has gone; nobody is left to be answered.
        reply.raw.destroy();
      }
    });
  }
}

function unary(name: string, rpc: Rpc, calls: Calls, callerOf: CallerOf) {
  const run = calls.of("connect", name);
  return (request: Parameters<Rpc>[0], { requestHeader, signal, values }: HandlerContext) => {
    const call = async () => {
      const caller = await identify(values, callerOf);
      const isJson = /json/i.test(requestHeader.get("content-type") ?? "");
      const context = { cancelled: () => signal.aborted, caller, isJson };
      return rpc(messageOf(values, request), context);
    };
    const answer = Promise.resolve(run(call, undefined)).catch(fail);
    // The library tells of a deadline that passed, and waits on.
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    return Promise.race([answer, aborted]);
  };
}

function serverStream(
  name: string,
  rpc: ServerStreamRpc,
  { calls, callerOf, addressOf }: Pick<ConnectOptions, "calls" | "callerOf" | "addressOf">,
) {
  const run = calls.of("connect", name);
  return async function* (
    request: Parameters<ServerStreamRpc>[0],
    { responseHeader, signal, values }: HandlerContext,
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
      const stream = values.get(streamKey);
      const origin = values.get(requestKey);
      stream?.begin(responseHeader);
      const answers = rpc(messageOf(values, request), {
        ...{ cancelled: () => signal.aborted, caller, signal },
        address: origin ? addressOf(origin.raw) : "",
        room: () => stream?.room(),
      });
      for await (const answer of answers) {
        yield answer;
        stream?.check();
      }
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
  const decoded = values.get(decodedKey);
  if (decoded && "flaw" in decoded) throw new LatchkeyError("invalid", decoded.flaw);
  return caller;
}

/** The message that was decoded here; `given`, of the same type, is the library's. */
function messageOf<M>(values: HandlerContext["values"], given: M): M {
  const decoded = values.get(decodedKey);
  return decoded && "message" in decoded ? (decoded.message as M) : given;
}

/** Throws the error in Connect's form. */
function fail(error: LatchkeyError): never {
  // Connect numbers its codes as gRPC does.
  const code = STATUS[error.code].grpc as number as Code;
  const headers = ERROR_HEADERS[error.code];
  throw new ConnectError(error.message, code, headers, errorDetails(error));
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}
