import type { FastifyInstance, FastifyRequest } from "fastify";
import { LatchkeyError } from "../../domain/error.js";
import type { Metrics } from "../../telemetry/metrics.js";
import type { IsPublic, PublicPart } from "../net/listener.js";
import type { CallerOf } from "./rest-sessions/routes.js";

export interface OperationsOptions {
  /** Rejects, with why, if the server should get no calls now. */
  readonly ready: () => Promise<void>;
  readonly metrics: Pick<Metrics, "contentType" | "text">;
  readonly callerOf: CallerOf;
  /** What may be asked without credentials. */
  readonly isPublic: IsPublic;
}

/** Where probes ask. They change nothing, and tell nothing of sessions. */
export const HEALTH_PATHS: ReadonlySet<string> = new Set(["/livez", "/readyz"]);

/** The paths below, by the part that opens them to everybody. */
export const OPERATIONS: ReadonlyMap<string, PublicPart> = new Map([
  ["/livez", "health"],
  ["/readyz", "health"],
  ["/metrics", "metrics"],
  ["/openapi.json", "reflection"],
]);

/** The paths for those who run the server: health, metrics, and what the API is. */
export function addOperations(app: FastifyInstance, options: OperationsOptions): void {
  const { ready, metrics, callerOf, isPublic } = options;
  const behind = (part: PublicPart) => ({
    onRequest: async (request: FastifyRequest) => {
      if (!isPublic(part)) await callerOf(request);
    },
  });

  app.get("/livez", behind("health"), async () => ({ status: "alive" }));

  app.get("/readyz", behind("health"), async (_request, reply) => {
    try {
      await ready();
      return { status: "ready" };
    } catch (error) {
      reply.code(503);
      const reason = error instanceof LatchkeyError ? error.message : "internal server error";
      return { status: "not ready", reason };
    }
  });

  app.get("/metrics", behind("metrics"), async (_request, reply) => {
    reply.header("content-type", metrics.contentType);
    return metrics.text();
  });

  app.get("/openapi.json", behind("reflection"), async () => app.swagger());
}
