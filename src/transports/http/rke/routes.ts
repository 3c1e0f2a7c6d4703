import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { LatchkeyError } from "../../../domain/error.js";
import { isJsonObject } from "../../../lib/json.js";
import { chain } from "../../../lib/maybe-promise.js";
import type { Authorization } from "../../../services/access/authorization.js";
import type { Calls } from "../../call/calls.js";
import { STATUS } from "../../call/status.js";
import { rkeErrorAnswer } from "../answers/error-bodies.js";
import { ERROR_HEADERS } from "../answers/error-headers.js";
import { createFrameworkErrors } from "../answers/framework-errors.js";
import { JSON_TYPE } from "../answers/json-answers.js";
import type { CallerOf } from "../requests/caller.js";
import { addBodyParsers } from "../requests/json-parsers.js";
import type { RequestBodies } from "../requests/request-bodies.js";
import { RKE_ENDPOINTS, type RkeEndpoint, type RkeParameters } from "./endpoints.js";
import { schemaOf } from "./schemas.js";

/** Bytes of a body, as of a request of the typed API. */
const MAX_BODY = 1024 * 1024;

/** `changes`: whether it leaves anything different. */
const ROUTES: readonly [path: string, keyof typeof RKE_ENDPOINTS, changes: boolean][] = [
  ["/api/rke/discover", "rke_discover", false],
  ["/api/rke/session", "rke_session_create", true],
  ["/api/rke/sessions", "rke_sessions", false],
  ["/api/rke/session/delete", "rke_session_delete", true],
  ["/api/rke/encrypt", "rke_encrypt", true],
  ["/api/rke/decrypt", "rke_decrypt", true],
];

export interface RkeRoutesOptions {
  readonly calls: Calls;
  readonly callerOf: CallerOf;
  readonly rkeOf: Authorization["rkeOf"];
  readonly isDraining: () => boolean;
  readonly bodies: Pick<RequestBodies, "read">;
}

/** Serves the six endpoints of the reproduced RKE API, by GET and by POST. */
export function addRkeEndpoints(scope: FastifyInstance, options: RkeRoutesOptions): void {
  const { calls, callerOf, rkeOf, isDraining, bodies } = options;
  const toCallerError = createFrameworkErrors(calls.refusals("http"), MAX_BODY);
  addBodyParsers(scope, bodies, MAX_BODY);
  scope.setErrorHandler((error: FastifyError | LatchkeyError, request, reply) => {
    if (error instanceof LatchkeyError) return sendError(request, reply, error);
    const shown = toCallerError(error);
    const status = shown.code === "invalid" ? error.statusCode : undefined;
    return sendError(request, reply, shown, status);
  });

  for (const [url, command, changes] of ROUTES) {
    const run = calls.of("http", command);
    const endpoint: RkeEndpoint = RKE_ENDPOINTS[command];
    const call = (request: FastifyRequest) =>
      chain(callerOf(request), (caller) => {
        if (changes) refuseNavigation(request);
        return endpoint(parametersOf(request), rkeOf(caller));
      });
    const handler = async (request: FastifyRequest, reply: FastifyReply) => {
      const answer = await run(call, request);
      // Else a client might send its next request into a connection that is closing.
      if (isDraining()) reply.header("connection", "close");
      return reply
        .header("content-type", JSON_TYPE)
        .send(JSON.stringify({ command, success: true, ...answer }));
    };
    for (const method of ["GET", "POST"] as const) {
      scope.route({
        method,
        url,
        exposeHeadRoute: false,
        handler,
        config: { document: schemaOf(method, command) },
      });
    }
  }
}

/**
 * Refuses what a browser was led to by an address, a link in a mail or a redirection: it
 * looks as if its user had asked for it. Scripts of allowed pages fetch and do not navigate.
 */
function refuseNavigation({ headers }: FastifyRequest): void {
  if (headers["sec-fetch-mode"] !== "navigate") return;
  throw new LatchkeyError(
    "forbidden",
    "a browser may not be led to this address: call it from a program, or by fetch",
  );
}

/** The query's parameters, or those in the JSON that was posted. */
function parametersOf({ method, query, body, headers }: FastifyRequest): RkeParameters {
  if (method === "GET") return query as RkeParameters; // As Fastify parses it.
  if (isJsonObject(body)) return body;
  const isEmpty = body === undefined && Number(headers["content-length"] ?? 0) === 0;
  if (isEmpty && headers["transfer-encoding"] === undefined) return {};
  throw new LatchkeyError(
    "invalid",
    "the parameters must be a JSON object, sent with content-type: application/json",
  );
}

/** Answers an error in the shape of the reproduced API; what keeps Content Servers and RAIDAs from it is 502. */
function sendError(
  request: FastifyRequest,
  reply: FastifyReply,
  error: LatchkeyError,
  status: number = isUpstream(error) ? 502 : STATUS[error.code].http,
) {
  const given = request.method === "GET" ? request.query : request.body;
  const { session_id: sessionId } = (given ?? {}) as RkeParameters;
  return reply
    .code(status)
    .headers({ ...ERROR_HEADERS[error.code], "content-type": JSON_TYPE })
    .send(
      JSON.stringify({
        ...rkeErrorAnswer(error, status),
        ...(typeof sessionId === "string" && sessionId !== "" ? { session_id: sessionId } : {}),
      }),
    );
}

function isUpstream({ code, facts }: LatchkeyError): boolean {
  return code === "unavailable" && facts?.["exchange_reason"] !== undefined;
}
