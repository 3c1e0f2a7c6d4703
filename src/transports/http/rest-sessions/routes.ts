import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { chain } from "../../../lib/maybe-promise.js";
import type { Authorization } from "../../../services/access/authorization.js";
import type { Sessions } from "../../../services/sessions/sessions.js";
import type { Calls } from "../../call/calls.js";
import { createJsonAnswers } from "../answers/json-answers.js";
import { createJsonStreams } from "../answers/json-streams.js";
import type { CallerOf } from "../requests/caller.js";
import {
  createEndpoints,
  type EndpointOptions,
  type Endpoints,
  type RestRequest,
} from "./endpoints.js";
import { schemas } from "./schemas.js";

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

export interface RestSessionsOptions extends EndpointOptions {
  readonly calls: Calls;
  readonly callerOf: CallerOf;
  readonly sessionsOf: Authorization["sessionsOf"];
  readonly isDraining: () => boolean;
}

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** Of an answer that was written already. */
const SENT = Symbol("sent");

function isTexts(value: unknown): value is AsyncGenerator<string> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

/** Serves the ten endpoints of rest-sessions. */
export function addRestSessions(app: FastifyInstance, options: RestSessionsOptions): void {
  const { callerOf, sessionsOf } = options;
  const endpoints = createEndpoints(options);
  const answers = createJsonAnswers({ ...options, afterTurn: setImmediate });
  const streams = createJsonStreams({ ...options, answers });
  for (const [method, url, name] of ROUTES) {
    const run = options.calls.of("http", name);
    const answer: (request: RestRequest, sessions: Sessions) => unknown = endpoints[name];
    const call = ({ request, reply }: Exchange) =>
      chain(callerOf(request), (caller) => {
        // Fastify's router and parser make what RestRequest says of it.
        const answered = answer(request as unknown as RestRequest, sessionsOf(caller));
        return chain(answered, (value) => {
          if (!isTexts(value)) return value;
          return streams.send(reply, caller?.account.name ?? "", value).then(() => SENT);
        });
      });
    const toText: (value: unknown) => string = name === "ping" ? String : JSON.stringify;
    const handler = (request: FastifyRequest, reply: FastifyReply) => {
      const send = (value: unknown) => {
        if (value === SENT) return;
        const text = toText(value);
        // Written without the framework, whose reply has nothing to add and costs as much as a read.
        reply.hijack();
        answers.send(reply.raw, text);
      };
      return chain(run(call, { request, reply }), send);
    };
    app.route({ method, url, handler, config: { document: schemas[name] } });
  }
}
