import type { FastifyDynamicSwaggerOptions } from "@fastify/swagger";
import type { FastifySchema } from "fastify";

declare module "fastify" {
  interface FastifyContextConfig {
    /** What /openapi.json says of the route. */
    document?: FastifySchema;
  }
}

/** An object's schema. */
export const object = (properties: Record<string, object>, required: readonly string[] = []) => ({
  type: "object",
  properties,
  required,
});

/**
 * A route's part of the document: the schema that is in its configuration, where
 * Fastify does not heed it. A route without one is not shown.
 */
export const transform: NonNullable<FastifyDynamicSwaggerOptions["transform"]> = ({
  url,
  route,
}) => {
  return { url, schema: route.config?.document ?? { hide: true } };
};
