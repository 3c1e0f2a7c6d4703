import type { JsonObject } from "@bufbuild/protobuf";
import fc from "fast-check";
import type { RestBody } from "../../support/transports/rest.js";

/** The apps that well-formed requests are about. */
export const APPS = ["shop", "forum", "A_-z0123456789abcdef"] as const;

/** Stands for a token that some creation answered; replaced when it is sent. */
export interface Known {
  readonly known: number;
}

/** The parts that requests are made of; most of them are right. */
const text = fc.oneof(
  { weight: 5, arbitrary: fc.string({ unit: "binary", maxLength: 30 }) },
  fc.constantFrom("x".repeat(129), "🔑".repeat(128), "🔑".repeat(129), "한".repeat(513)),
);
const app = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...APPS) }, text);
const userId = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom("ann", "user@example.com", "a:b/c d", "김", "__proto__"),
  },
  { weight: 2, arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }) },
  text,
);
const ip = fc.oneof({ weight: 5, arbitrary: fc.ipV4() }, fc.ipV6(), text);
const known: fc.Arbitrary<Known> = fc.record({ known: fc.nat() });
const token = fc.oneof(
  { weight: 8, arbitrary: known },
  fc.string({ unit: fc.constantFrom(..."abc019"), minLength: 64, maxLength: 64 }),
  text,
);
const uuid = fc.oneof(fc.uuid(), text);
const data = fc.dictionary(
  fc.oneof(fc.constantFrom("a", "b", "__proto__", "constructor", ""), text),
  fc.jsonValue({ maxDepth: 5, stringUnit: "binary" }),
  { maxKeys: 6 },
) as fc.Arbitrary<JsonObject>;
const duration = fc.oneof(
  { weight: 6, arbitrary: fc.record({ seconds: fc.bigInt(10n, 9_999n) }) },
  fc.record({ seconds: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), nanos: fc.integer() }),
);
const enumValue = fc.oneof(fc.nat(3), fc.integer());
const policy = fc.record(
  {
    defaultIdleTtl: duration,
    maxIdleTtl: duration,
    defaultAbsoluteTtl: duration,
    maxAbsoluteTtl: duration,
    maxSessionsPerUser: fc.oneof(fc.nat(5), fc.integer()),
    atLimit: enumValue,
    bindIp: enumValue,
    bindUserAgent: enumValue,
    touchInterval: duration,
    callerTokens: fc.boolean(),
  },
  { requiredKeys: [] },
);
const int64 = fc.oneof(fc.bigInt(-2n, 5n), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n));
const pageSize = fc.oneof(fc.integer({ min: -1, max: 1001 }), fc.integer());
const pageToken = fc.oneof(
  { weight: 3, arbitrary: fc.constant("") },
  fc.base64String(),
  fc
    .tuple(app, userId, fc.oneof(fc.integer(), fc.double()), fc.maxSafeInteger())
    .map((state) => Buffer.from(JSON.stringify(state)).toString("base64url")),
  text,
);

const merge = fc.constantFrom(0, 1, 2, 3, -1);
const requestId = fc.oneof(
  { weight: 3, arbitrary: fc.constant("") },
  { weight: 3, arbitrary: fc.constantFrom("request-1-request", "request-2-request") },
  fc.uuid(),
  text,
);

const oneof = (values: Record<string, fc.Arbitrary<unknown>>) =>
  fc.oneof(
    fc.constant({ case: undefined }),
    ...Object.entries(values).map(([name, value]) => fc.record({ case: fc.constant(name), value })),
  );
const record = (fields: Record<string, fc.Arbitrary<unknown>>, required: string[]) =>
  fc.record(fields, { requiredKeys: required });

/** An RPC and a message for it, with Known in place of some tokens. */
export const rpcCalls = fc.oneof(
  ...Object.entries({
    createSession: record(
      {
        app,
        userId,
        ip,
        userAgent: text,
        data,
        idleTtl: duration,
        absoluteTtl: duration,
        requestId,
        token: fc.oneof({ weight: 12, arbitrary: fc.constant("") }, token),
      },
      ["app", "userId"],
    ),
    getSession: record({ app, token, peek: fc.boolean(), ip, userAgent: text }, ["app", "token"]),
    batchGetSessions: record(
      { app, tokens: fc.array(token, { maxLength: 9 }), peek: fc.boolean() },
      ["app", "tokens"],
    ),
    updateSession: record({ app, token, data, expectedVersion: int64, merge, requestId }, [
      "app",
      "token",
      "data",
    ]),
    extendSession: record(
      {
        app,
        token,
        idleTtl: duration,
        absoluteTtl: duration,
        expectedVersion: int64,
        requestId,
      },
      ["app", "token"],
    ),
    rotateToken: record(
      {
        app,
        token,
        grace: duration,
        assumeReceived: fc.boolean(),
        expectedVersion: int64,
        requestId,
      },
      ["app", "token"],
    ),
    deleteSession: record(
      {
        app,
        target: oneof({ token, sessionId: uuid }),
        allowMissing: fc.boolean(),
        expectedVersion: int64,
        requestId,
      },
      ["app", "target"],
    ),
    deleteUserSessions: record(
      {
        app,
        userId,
        keep: oneof({ keepToken: token, keepSessionId: uuid }),
        allowMissing: fc.boolean(),
        requestId,
      },
      ["app", "userId"],
    ),
    deleteAppSessions: record({ app: fc.constantFrom("forum", "?"), requestId }, ["app"]),
    listSessions: record(
      { app, activeWithin: duration, pageSize, pageToken, currentToken: token },
      ["app"],
    ),
    listUserSessions: record({ app, userId, pageSize, pageToken, currentToken: token }, [
      "app",
      "userId",
    ]),
    countActiveUsers: record({ app, activeWithin: duration }, ["app"]),
    getAppPolicy: record({ app }, ["app"]),
    // Of an app whose sessions the trial does not count on.
    setAppPolicy: record({ app: fc.constantFrom("forum", "?"), policy }, ["app", "policy"]),
  }).map(([rpc, message]) => fc.record({ rpc: fc.constant(rpc), message })),
);

/** `value` with each Known in it replaced by a token of `tokens`. */
export function withTokens(value: unknown, tokens: readonly string[]): unknown {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if ("known" in value) return tokens[Number(value.known) % tokens.length] ?? "none";
  if (Array.isArray(value)) return value.map((item) => withTokens(item, tokens));
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === "data" ? inner : withTokens(inner, tokens),
    ]),
  );
}

/** What may happen to bytes on their way. */
export const damages = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    remove: fc.nat(4),
    insert: fc.uint8Array({ maxLength: 4 }),
  }),
  { maxLength: 4 },
);
export type Damage = typeof damages extends fc.Arbitrary<infer T> ? T : never;

export function damage(bytes: Uint8Array, list: Damage): Uint8Array {
  return list.reduce<Uint8Array>((before, { at, remove, insert }) => {
    const from = Math.floor(at * before.length);
    return Buffer.concat([before.subarray(0, from), insert, before.subarray(from + remove)]);
  }, bytes);
}

const encoded = (part: fc.Arbitrary<unknown>) =>
  part.map((value) => (typeof value === "string" ? encodeURIComponent(value) : value));
/** What a path may hold as it is, right or wrong. */
const wild = fc.string({
  unit: fc.constantFrom(..."aZ09-_.~%/:@!$&'()*+,;=?#[]{}|^`\"\\<>"),
  maxLength: 40,
});
const segment = (part: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 12, arbitrary: encoded(part) }, wild);
const number = fc.oneof(fc.integer({ min: 9, max: 9_999 }), fc.integer(), fc.double(), wild);
const queryPart = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constant("ip"), encoded(ip)) },
  fc.tuple(fc.constant("ttl"), number),
  { weight: 3, arbitrary: fc.tuple(fc.constant("dt"), number) },
  fc.tuple(fc.constant("no_resave"), fc.constantFrom("true", "false", "1", "x")),
  fc.tuple(wild, wild),
);

const flat = fc.dictionary(
  fc.oneof(fc.constantFrom("a", "b", "__proto__", ""), text),
  fc.oneof(text, fc.double(), fc.integer(), fc.boolean(), fc.constant(null)),
  { maxKeys: 5 },
);
const jsonType = fc.constantFrom("application/json", "application/json; charset=utf-8");
const anyType = fc.oneof(
  jsonType,
  fc.constantFrom(
    "text/plain",
    "application/x-www-form-urlencoded",
    "x",
    "application/json;",
    "*/*",
  ),
);
const bodies: fc.Arbitrary<RestBody | undefined> = fc.oneof(
  fc.constant(undefined),
  {
    weight: 4,
    arbitrary: fc.record({ content: flat.map((value) => JSON.stringify(value)), type: jsonType }),
  },
  fc.record({ content: fc.json(), type: jsonType }),
  fc.record({ content: text, type: jsonType }),
  fc.record({ content: fc.uint8Array({ maxLength: 300 }), type: jsonType }),
  fc.record({ content: fc.json(), type: anyType }),
);

const endpoints = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.tuple(fc.constant("PUT"), segment(app), fc.constant("create"), segment(userId)),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constant("GET"), segment(app), fc.constant("get"), segment(token)),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.constant("POST"), segment(app), fc.constant("set"), segment(token)),
  },
  fc.tuple(fc.constant("GET"), segment(app), fc.constantFrom("activity", "soapp")),
  fc.tuple(fc.constant("GET"), segment(app), fc.constant("soid"), segment(userId)),
  fc.tuple(fc.constant("DELETE"), segment(app), fc.constant("kill"), segment(token)),
  fc.tuple(fc.constant("DELETE"), segment(app), fc.constant("killsoid"), segment(userId)),
  fc.tuple(fc.constant("DELETE"), fc.constant("forum"), fc.constant("killall")),
  fc.tuple(
    fc.constantFrom("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"),
    fc.oneof(wild, fc.constantFrom("ping", "livez", "readyz", "metrics", "openapi.json")),
  ),
);

/** A request of the endpoints, its path in parts, with Known in place of some tokens. */
export const restCalls = fc.record({
  parts: endpoints as fc.Arbitrary<readonly unknown[]>,
  query: fc.array(queryPart, { maxLength: 3 }),
  body: bodies,
});

/** What may come over a socket in place of HTTP, or of a sound request. */
export const rawRequests = fc.oneof(
  fc.uint8Array({ maxLength: 400 }),
  fc
    .record({
      method: fc.constantFrom("GET", "POST", "PUT", "DELETE", "get", "PRI", "é"),
      path: fc.oneof(wild, text, fc.constant("/shop/create/ann?ip=1")),
      version: fc.constantFrom("HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.1 x", ""),
      headers: fc.array(
        fc.oneof(
          fc.constantFrom(
            "Host: x",
            "Content-Length: 3",
            "Content-Length: -1",
            "Content-Length: 99999999999999999999",
            "Transfer-Encoding: chunked",
            "Content-Type: application/json",
            "Content-Encoding: gzip",
            "Expect: 100-continue",
            "Upgrade: h2c",
            "Connection: close",
          ),
          text,
        ),
        { maxLength: 5 },
      ),
      body: fc.oneof(fc.constant(""), fc.json(), fc.constant("3\r\n{}\n\r\n0\r\n\r\n"), text),
    })
    .map(({ method, path, version, headers, body }) =>
      Buffer.from([`${method} ${path} ${version}`, ...headers, "", body].join("\r\n")),
    ),
);
