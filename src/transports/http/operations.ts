import type { FastifyInstance, FastifyRequest } from "fastify";
import type { LatchkeyError } from "../../domain/error.js";
import type { IsPublic, PublicPart } from "../net/listener.js";
import type { CallerOf } from "./requests/caller.js";

/** The metrics as Prometheus reads them. */
export interface MetricsText {
  readonly contentType: string;
  text(): Promise<string>;
}

export interface OperationsOptions {
  /** Rejects, with why, if the server should get no calls now. */
  readonly ready: () => Promise<void>;
  /** Returns what is shown of an error; logs a fault. */
  readonly toCallerError: (error: unknown) => LatchkeyError;
  readonly metrics: MetricsText;
  readonly callerOf: CallerOf;
  /** What may be asked without credentials. */
  readonly isPublic: IsPublic;
}

/** The paths for those who run the server: health, metrics, and what the API is. */
export function addOperations(app: FastifyInstance, options: OperationsOptions): void {
  const { ready, toCallerError, metrics, callerOf, isPublic } = options;
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
      return { status: "not ready", reason: toCallerError(error).message };
    }
  });

  app.get("/metrics", behind("metrics"), async (_request, reply) => {
    reply.header("content-type", metrics.contentType);
    return metrics.text();
  });

  app.get("/openapi.json", behind("reflection"), async () => app.swagger());
}
