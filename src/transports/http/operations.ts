import type { FastifyInstance } from "fastify";
import { LatchkeyError } from "../../domain/error.js";
import type { Metrics } from "../metrics.js";

export interface OperationsOptions {
  /** Rejects, with why, if the server should get no calls now. */
  readonly ready: () => Promise<void>;
  readonly metrics: Pick<Metrics, "contentType" | "text">;
}

/** Where probes ask. They change nothing, and tell nothing of sessions. */
export const HEALTH_PATHS: ReadonlySet<string> = new Set(["/livez", "/readyz"]);

/** The paths for those who run the server: health, metrics, and what the API is. */
export function addOperations(app: FastifyInstance, { ready, metrics }: OperationsOptions): void {
  app.get("/livez", async () => ({ status: "alive" }));

  app.get("/readyz", async (_request, reply) => {
    try {
      await ready();
      return { status: "ready" };
    } catch (error) {
      reply.code(503);
      const reason = error instanceof LatchkeyError ? error.message : "internal server error";
      return { status: "not ready", reason };
    }
  });

  app.get("/metrics", async (_request, reply) => {
    reply.header("content-type", metrics.contentType);
    return metrics.text();
  });

  app.get("/openapi.json", async () => app.swagger());
}
