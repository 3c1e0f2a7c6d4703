import type { FastifyInstance, FastifyReply, FastifyRequest, RouteShorthandOptions } from "fastify";
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
  options: EndpointOptions & { readonly calls: Calls },
): void {
  const endpoints = createEndpoints(options);
  for (const [method, url, name] of ROUTES) {
    const answer = endpoints[name];
    const handler = async (request: FastifyRequest, reply: FastifyReply) => {
      const { params, query, body } = request;
      // Fastify's router and parser make these two.
      const input = { params, query, body } as RestRequest;
      const value = await options.calls.run<unknown>("http", name, () => answer(input));
      reply.header("content-type", JSON_TYPE);
      return name === "ping" ? value : JSON.stringify(value);
    };
    const route: RouteShorthandOptions = { schema: schemas[name] };
    app.route({ ...route, method, url, handler });
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
