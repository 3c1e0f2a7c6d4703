import type { FastifyDynamicSwaggerOptions } from "@fastify/swagger";
import { LIMITS } from "../../../domain/limits.js";
import { object } from "../requests/openapi.js";
import type { Endpoints } from "./endpoints.js";

// What /openapi.json says of the reproduced endpoints. For readers only: the
// endpoints check their input themselves, to answer errors in their own shape.

const app = {
  type: "string",
  pattern: "^[A-Za-z0-9_-]{3,20}$",
  description: "The web app.",
};
const id = {
  type: "string",
  minLength: 1,
  maxLength: LIMITS.userId,
  description: "The user within the app, percent-encoded; no control characters.",
};
const newToken = {
  type: "string",
  pattern: "^[A-Za-z0-9]{64}$",
  description: "Opens the session.",
};
const token = {
  type: "string",
  pattern: `^[A-Za-z0-9_-]{${LIMITS.tokenMin},${LIMITS.tokenMax}}$`,
  description:
    "What create answered; where the app's policy takes tokens of callers, also one of those.",
};
const ttl = {
  type: "integer",
  minimum: LIMITS.ttlMin,
  maximum: LIMITS.ttlMax,
  default: LIMITS.ttlDefault,
  description: "Seconds that the session lives without being accessed.",
};
const dt = {
  type: "integer",
  minimum: LIMITS.ttlMin,
  maximum: LIMITS.ttlMax,
  description: "Seconds back from now.",
};
const data = {
  type: "object",
  additionalProperties: { type: ["string", "number", "boolean", "null"] },
};

const session = {
  type: "object",
  properties: {
    id: { type: "string", description: "The user." },
    r: { type: "integer", description: "Reads before this one; starts at 1." },
    w: { type: "integer", description: "Writes; starts at 1." },
    ttl: {
      type: "integer",
      description: "Seconds; with no_resave, the seconds left until the fixed deadline.",
    },
    idle: { type: "integer", description: "Whole seconds since the last get or set." },
    ip: { type: "string" },
    d: { ...data, description: "The session's data; absent when empty." },
    no_resave: { type: "boolean", description: "Present and true if the deadline is fixed." },
  },
};
const sessions = {
  type: "object",
  properties: { sessions: { type: "array", items: session } },
};
const count = (name: string, description: string) => ({
  type: "object",
  properties: { [name]: { type: "integer", description } },
});
const error = {
  type: "object",
  properties: { name: { type: "string" }, message: { type: "string" } },
};

const endpoint = (
  summary: string,
  answer: object,
  request: { params?: object; querystring?: object; body?: object },
) => ({
  summary,
  tags: ["sessions"],
  ...request,
  response: {
    200: { description: "The answer.", ...answer },
    400: { description: "The request is wrong.", ...error },
    503: { description: "The server cannot serve now.", ...error },
  },
});

export const schemas: Readonly<Record<keyof Endpoints, object>> = {
  create: endpoint("Create a session.", object({ token: newToken }), {
    params: object({ app, id }),
    querystring: object(
      {
        ip: {
          type: "string",
          minLength: 1,
          maxLength: LIMITS.ip,
          description: "The user's address.",
        },
        ttl,
        no_resave: {
          type: "boolean",
          default: false,
          description: "Fix the deadline at ttl seconds from now, however often it is accessed.",
        },
      },
      ["ip"],
    ),
    body: { ...data, description: "Optional: the session's data." },
  }),
  get: endpoint("Read a session; {} if there is none.", session, {
    params: object({ app, token }),
  }),
  set: endpoint(
    "Set keys of a session's data, remove those set to null; {} if there is none.",
    session,
    {
      params: object({ app, token }),
      body: { ...data, minProperties: 1 },
    },
  ),
  activity: endpoint(
    "Count the users active within dt seconds.",
    count("activity", "Users, not sessions."),
    { params: object({ app }), querystring: object({ dt }, ["dt"]) },
  ),
  soapp: endpoint("List an app's sessions active within dt seconds, the latest first.", sessions, {
    params: object({ app }),
    querystring: object({ dt }, ["dt"]),
  }),
  soid: endpoint("List a user's sessions.", sessions, { params: object({ app, id }) }),
  kill: endpoint("End a session.", count("kill", "1, or 0 if there was none."), {
    params: object({ app, token }),
  }),
  killsoid: endpoint("End a user's sessions.", count("kill", "How many."), {
    params: object({ app, id }),
  }),
  killall: endpoint("End an app's sessions.", count("kill", "How many."), {
    params: object({ app }),
  }),
  ping: {
    summary: "PONG if the server can serve.",
    tags: ["sessions"],
    response: { 200: { type: "string", const: "PONG" } },
  },
};

/** The plugin calls every body required; that of create is not. */
export const transformObject: NonNullable<FastifyDynamicSwaggerOptions["transformObject"]> = (
  document,
) => {
  if ("swaggerObject" in document) return document.swaggerObject;
  const body = document.openapiObject.paths?.["/{app}/create/{id}"]?.put?.requestBody;
  if (body && "required" in body) body.required = false;
  return document.openapiObject;
};
