import type { Driver, DriverOptions } from "../drivers/driver.js";
import { openEtcdRangeDriver } from "../drivers/etcd.js";
import { openGrpcGetDriver } from "../drivers/grpc.js";
import { openHttpDriver } from "../drivers/http.js";
import { openRkeEncryptDriver } from "../drivers/rke.js";
import { STREAMS } from "../load/generators.js";
import type { ServerName } from "../servers/servers.js";

export interface Trial {
  readonly name: string;
  readonly about: string;
  /** Program that makes the load. */
  readonly tool: "wrk" | "h2load";
  /** Latchkey first, then those it is compared with. */
  readonly servers: readonly [ServerName, ...ServerName[]];
  readonly openDriver: (options: DriverOptions) => Promise<Driver>;
}

export const TRIALS: readonly Trial[] = [
  {
    name: "http-get",
    about: "GET /:app/get/:token",
    tool: "wrk",
    servers: ["latchkey", "rest-sessions", "fastify"],
    openDriver: (options) => openHttpDriver("get", options),
  },
  {
    name: "http-set",
    about: 'POST /:app/set/:token with {"n":…}',
    tool: "wrk",
    servers: ["latchkey", "rest-sessions", "fastify"],
    openDriver: (options) => openHttpDriver("set", options),
  },
  {
    name: "http-create",
    about: "PUT /:app/create/:id with three keys of data, every session for a new user",
    tool: "wrk",
    servers: ["latchkey", "rest-sessions", "fastify"],
    openDriver: (options) => openHttpDriver("create", options),
  },
  {
    name: "grpc-get",
    about: `GetSession of one session, ${STREAMS} streams a connection; beside it a bare grpc-js echo, the ceiling, and etcd's Range of one key`,
    tool: "h2load",
    servers: ["latchkey", "grpc-echo", "etcd"],
    openDriver: (options) =>
      options.server.serves === "etcd" ? openEtcdRangeDriver(options) : openGrpcGetDriver(options),
  },
  {
    name: "auth-cost-http",
    about:
      "as http-get, with authentication; beside it without, each call with a Bearer key all the same, and without both",
    tool: "wrk",
    servers: ["latchkey-auth", "latchkey-key", "latchkey"],
    openDriver: (options) => openHttpDriver("get", options),
  },
  {
    name: "auth-cost-grpc",
    about: "as grpc-get, likewise; `auth-cost` is both",
    tool: "h2load",
    servers: ["latchkey-auth", "latchkey-key", "latchkey"],
    openDriver: openGrpcGetDriver,
  },
  {
    name: "rke-encrypt",
    about: "RkeService.Encrypt of 1 KiB by AES-256-GCM; beside it a bare grpc-js echo, the ceiling",
    tool: "h2load",
    servers: ["latchkey-rke", "rke-echo", "rke-echo-gcm"],
    openDriver: openRkeEncryptDriver,
  },
];

/** What each server is, for the reader of the numbers. */
export const ABOUT_SERVERS: Record<ServerName, string> = {
  latchkey: "this project",
  "latchkey-auth": "this project with LATCHKEY_AUTH=required, every call by a User's key",
  "latchkey-key": "this project without authentication, sent such a key with every call, too",
  "latchkey-rke": "this project, with one RKE session",
  "rke-echo-gcm": "the same, but encrypting by node:crypto and doing nothing else",
  "rke-echo": "a grpc-js server that answers as many random bytes",
  "rest-sessions":
    "redis-sessions 3.0.0 behind Express 4, Redis on a Unix socket without persistence",
  trivial: "a TCP server that answers whatever comes with the same bytes",
  fastify:
    "Fastify handlers that take the request in, answer one session or token and do nothing else: the ceiling",
  "grpc-echo": "a grpc-js server that answers one session and does nothing else",
  etcd: "one etcd with its data on disk: a serializable Range of a key whose value is such a session",
};

/** The programs that trials need, each with the Debian package that has it. */
export function programsOf(trials: readonly Trial[]): ReadonlyMap<string, string> {
  const programs = new Map<string, string>();
  for (const { tool, servers } of trials) {
    programs.set(tool, tool === "h2load" ? "nghttp2-client" : tool);
    if (servers.includes("rest-sessions")) programs.set("redis-server", "redis-server");
    if (servers.includes("etcd")) programs.set("etcd", "etcd-server");
  }
  return programs;
}
