import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { then } from "../../../domain/awaitable.js";
import type { ErrorCode, LatchkeyError } from "../../../domain/error.js";
import type { Calls } from "../../calls.js";
import { STATUS } from "../../status.js";
import {
  createEndpoints,
  type EndpointOptions,
  type Endpoints,
  type RestRequest,
} from "./endpoints.js";
import { errorAnswer } from "./input.js";
import { schemas } from "./schemas.js";

const JSON_TYPE = "application/json; charset=utf-8";

const ROUTES: readonly [
  method: "GET" | "PUT" | "POST" | "DELETE",
  path: string,
  keyof Endpoints,
][] = [
  ["PUT", "/:app/create/:id", "create"],
  ["GET", "/:app/get/:token", "get"],
  ["POST", "/:app/set/:token", "set"],
  ["GET", "/:app/activity", "activity"],
  ["GET", "/:app/soapp", "soapp"],
  ["GET", "/:app/soid/:id", "soid"],
  ["DELETE", "/:app/kill/:token", "kill"],
  ["DELETE", "/:app/killsoid/:id", "killsoid"],
  ["DELETE", "/:app/killall", "killall"],
  ["GET", "/ping", "ping"],
];

/** Serves the ten endpoints of rest-sessions. */
export function addRestSessions(
  app: FastifyInstance,
  options: EndpointOptions & { readonly calls: Calls; readonly isDraining: () => boolean },
): void {
  const endpoints = createEndpoints(options);
  for (const [method, url, name] of ROUTES) {
    const run = options.calls.of("http", name);
    const answer: (request: RestRequest) => unknown = endpoints[name];
    const toText: (value: unknown) => string = name === "ping" ? String : JSON.stringify;
    const handler = (request: FastifyRequest, reply: FastifyReply) => {
      // Fastify's router and parser make what RestRequest says of it.
      const input = request as unknown as RestRequest;
      const send = (value: unknown) => {
        reply.header("content-type", JSON_TYPE);
        // Else a client might send its next request into a connection that is closing.
        if (options.isDraining()) reply.header("connection", "close");
        return reply.send(toText(value));
      };
      return then(run(answer, input), send);
    };
    app.route({ method, url, handler, config: { document: schemas[name] } });
  }
}

/** Answers an error of any HTTP path in the shape that rest-sessions has. */
export function sendError(
  reply: FastifyReply,
  error: LatchkeyError,
  status = statusOf(error.code),
) {
  return reply
    .code(status)
    .header("content-type", JSON_TYPE)
    .send(JSON.stringify(errorAnswer(error)));
}

function statusOf(code: ErrorCode): number {
  return STATUS[code].http;
}
