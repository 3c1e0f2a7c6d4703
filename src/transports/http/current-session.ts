import type { FastifyInstance, FastifyRequest } from "fastify";
import { chain } from "../../lib/maybe-promise.js";
import type { Callers } from "../../services/access/callers.js";
import type { Calls } from "../call/calls.js";
import { toSessionObject } from "../rpc/caller-session.js";
import type { CallerOf } from "./requests/caller.js";

export interface CurrentSessionOptions {
  readonly calls: Calls;
  readonly callerOf: CallerOf;
  readonly callers: Pick<Callers, "current">;
}

/** `GET /session`: the SESSION command over HTTP, the caller's own session as it documents it. */
export function addCurrentSession(app: FastifyInstance, options: CurrentSessionOptions): void {
  const { calls, callerOf, callers } = options;
  const run = calls.of("http", "session");
  const answer = (request: FastifyRequest) =>
    chain(callerOf(request), (caller) => toSessionObject(callers.current(caller)));
  app.get("/session", async (request, reply) => {
    // One path answers every caller something else: nothing between may keep it.
    reply.header("cache-control", "no-store");
    return run(answer, request);
  });
}
