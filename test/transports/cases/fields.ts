import { DataMerge } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import {
  type Added,
  assertRefused,
  type Case,
  invalid,
  seconds,
  type Trial,
} from "../../support/transports/case.js";

/** The RPCs that name an app. */
type Rpc = Exclude<keyof Trial["client"], "getCurrentSession" | "listCallers">;

/** A request that is answered, but for what `set` of a field puts into it. */
const REQUESTS: Readonly<Record<Rpc, (added: Added) => object>> = {
  createSession: () => ({ userId: "ann" }),
  getSession: ({ token }) => ({ token }),
  batchGetSessions: ({ token }) => ({ tokens: [token] }),
  updateSession: ({ token }) => ({ token, data: { a: 1 } }),
  extendSession: ({ token }) => ({ token, idleTtl: seconds(60) }),
  rotateToken: ({ token }) => ({ token }),
  deleteSession: ({ token }) => ({ target: { case: "token", value: token } }),
  deleteUserSessions: () => ({ userId: "ann" }),
  deleteAppSessions: () => ({}),
  listSessions: () => ({}),
  listUserSessions: () => ({ userId: "ann" }),
  countActiveUsers: () => ({ activeWithin: seconds(60) }),
  getAppPolicy: () => ({}),
  setAppPolicy: () => ({ policy: {} }),
  watchSessions: () => ({}),
};
const RPCS = Object.keys(REQUESTS) as Rpc[];

/** A field, the RPCs that have it, and where its limits are. */
interface Field {
  /** By its name in the .proto files. */
  readonly name: string;
  readonly rpcs: readonly Rpc[];
  readonly set: (value: never) => object;
  readonly accepts: readonly unknown[];
  readonly refuses: readonly unknown[];
}

const MAX = 2 ** 31 - 1;
const TTLS = [seconds(10), seconds(MAX)];
const NO_TTLS = [
  ...[0, 9, -1, -10, -MAX, MAX + 1, 315_576_000_000].map((whole) => seconds(whole)),
  seconds(10, 500_000_000),
  seconds(10, 1),
  seconds(-10, -1),
];
const UUID = "01900000-0000-7000-8000-000000000000";
const NO_UUIDS = ["", UUID.slice(1), `${UUID}0`, UUID.replaceAll("-", ""), `g${UUID.slice(1)}`];
const TOKEN = "T0ken".padEnd(64, "x");
const NO_TOKENS = [
  "",
  "x".repeat(21),
  "x".repeat(257),
  `${TOKEN.slice(1)}.`,
  `${TOKEN.slice(1)}=`,
  `${TOKEN.slice(1)}é`,
  `${TOKEN.slice(1)}\n`,
];

const FIELDS: readonly Field[] = [
  {
    name: "app",
    rpcs: RPCS,
    set: (app) => ({ app }),
    accepts: ["abc", "A_-z0123456789abcdef"],
    refuses: ["", "ab", "x".repeat(21), "a b", "a.b", "shöp", "shop\n", "sho\0p", "../x"],
  },
  {
    name: "user_id",
    rpcs: ["createSession", "deleteUserSessions", "listUserSessions"],
    set: (userId) => ({ userId }),
    accepts: ["x", "x".repeat(128), "한".repeat(128), "🔑".repeat(128)],
    refuses: ["", "x".repeat(129), "🔑".repeat(129), "a\0", "a\nb", "\u007f", "\u0085"],
  },
  {
    name: "user_id",
    rpcs: ["watchSessions"],
    set: (userId) => ({ userId }),
    accepts: ["", "x", "🔑".repeat(128)],
    refuses: ["x".repeat(129), "a\0", "a\nb"],
  },
  {
    name: "resume_revision",
    rpcs: ["watchSessions"],
    set: (resumeRevision) => ({ resumeRevision }),
    accepts: [0n, 1n, 2n ** 53n - 1n],
    refuses: [-1n, 2n ** 53n, 2n ** 63n - 1n],
  },
  {
    name: "ip",
    rpcs: ["createSession", "getSession"],
    set: (ip) => ({ ip }),
    accepts: ["", "1", "f".repeat(39)],
    refuses: ["f".repeat(40), "192.0.2.1\n"],
  },
  {
    name: "user_agent",
    rpcs: ["createSession", "getSession"],
    set: (userAgent) => ({ userAgent }),
    accepts: ["", "x", "✓".repeat(512)],
    refuses: ["x".repeat(513), "a\u0007"],
  },
  {
    name: "token",
    rpcs: ["getSession", "updateSession", "extendSession", "rotateToken"],
    set: (token) => ({ token }),
    accepts: [],
    refuses: NO_TOKENS,
  },
  {
    name: "token",
    rpcs: ["createSession"],
    set: (token) => ({ token }),
    accepts: [""],
    refuses: NO_TOKENS.slice(1),
  },
  {
    name: "token",
    rpcs: ["deleteSession"],
    set: (value) => ({ target: { case: "token", value } }),
    accepts: [],
    refuses: NO_TOKENS,
  },
  {
    name: "session_id",
    rpcs: ["deleteSession"],
    set: (value) => ({ target: { case: "sessionId", value } }),
    accepts: [],
    refuses: NO_UUIDS,
  },
  {
    name: "keep_token",
    rpcs: ["deleteUserSessions"],
    set: (value) => ({ keep: { case: "keepToken", value } }),
    accepts: [],
    refuses: NO_TOKENS,
  },
  {
    name: "keep_session_id",
    rpcs: ["deleteUserSessions"],
    set: (value) => ({ keep: { case: "keepSessionId", value } }),
    accepts: [],
    refuses: NO_UUIDS,
  },
  {
    name: "idle_ttl",
    rpcs: ["createSession", "extendSession"],
    set: (idleTtl) => ({ idleTtl }),
    accepts: TTLS,
    refuses: NO_TTLS,
  },
  {
    name: "absolute_ttl",
    rpcs: ["createSession", "extendSession"],
    set: (absoluteTtl) => ({ absoluteTtl }),
    accepts: TTLS,
    refuses: NO_TTLS,
  },
  {
    name: "active_within",
    rpcs: ["listSessions", "countActiveUsers"],
    set: (activeWithin) => ({ activeWithin }),
    accepts: TTLS,
    refuses: NO_TTLS,
  },
  {
    name: "page_size",
    rpcs: ["listSessions", "listUserSessions"],
    set: (pageSize) => ({ pageSize }),
    accepts: [0, 1, 1000],
    refuses: [-1, 1001, -(2 ** 31), MAX],
  },
  {
    name: "current_token",
    rpcs: ["listSessions", "listUserSessions"],
    set: (currentToken) => ({ currentToken }),
    accepts: ["", TOKEN, "-".repeat(22), "_".repeat(256)],
    refuses: NO_TOKENS.slice(1),
  },
  ...(
    [
      ["policy.default_idle_ttl", "defaultIdleTtl"],
      ["policy.max_idle_ttl", "maxIdleTtl"],
      ["policy.default_absolute_ttl", "defaultAbsoluteTtl"],
      ["policy.max_absolute_ttl", "maxAbsoluteTtl"],
    ] as const
  ).map(
    ([name, key]): Field => ({
      name,
      rpcs: ["setAppPolicy"],
      set: (ttl) => ({ policy: { [key]: ttl } }),
      accepts: TTLS,
      refuses: NO_TTLS,
    }),
  ),
  {
    name: "policy.max_sessions_per_user",
    rpcs: ["setAppPolicy"],
    set: (maxSessionsPerUser) => ({ policy: { maxSessionsPerUser } }),
    accepts: [0, 1000, 1],
    refuses: [-1, 1001, MAX],
  },
  {
    name: "policy.touch_interval",
    rpcs: ["setAppPolicy"],
    set: (touchInterval) => ({ policy: { touchInterval } }),
    accepts: [seconds(1), seconds(86_400)],
    refuses: [seconds(0), seconds(-1), seconds(86_401), seconds(1, 500_000_000)],
  },
  {
    name: "policy.at_limit",
    rpcs: ["setAppPolicy"],
    set: (atLimit) => ({ policy: { atLimit } }),
    accepts: [0, 1, 2, 3],
    refuses: [4, -1],
  },
  {
    name: "policy.bind_ip",
    rpcs: ["setAppPolicy"],
    set: (bindIp) => ({ policy: { bindIp } }),
    accepts: [0, 1, 2, 3],
    refuses: [4],
  },
  {
    name: "policy.bind_user_agent",
    rpcs: ["setAppPolicy"],
    set: (bindUserAgent) => ({ policy: { bindUserAgent } }),
    accepts: [0, 1, 2, 3],
    refuses: [4],
  },
  {
    name: "policy.default_idle_ttl",
    rpcs: ["setAppPolicy"],
    set: (defaultIdleTtl) => ({ policy: { defaultIdleTtl, maxIdleTtl: seconds(60) } }),
    accepts: [seconds(60)],
    refuses: [seconds(61)],
  },
  {
    name: "policy.default_absolute_ttl",
    rpcs: ["setAppPolicy"],
    set: (defaultAbsoluteTtl) => ({ policy: { defaultAbsoluteTtl, maxAbsoluteTtl: seconds(60) } }),
    accepts: [seconds(60)],
    refuses: [seconds(61)],
  },
  {
    name: "policy",
    rpcs: ["setAppPolicy"],
    set: (policy) => ({ policy }),
    accepts: [{}],
    refuses: [undefined],
  },
  {
    name: "expected_version",
    rpcs: ["updateSession", "extendSession", "rotateToken", "deleteSession"],
    set: (expectedVersion) => ({ expectedVersion }),
    accepts: [1n],
    refuses: [0n, -1n, 2n ** 53n, 2n ** 63n - 1n],
  },
  {
    name: "grace",
    rpcs: ["rotateToken"],
    set: (grace) => ({ grace }),
    accepts: [],
    refuses: [seconds(-1), seconds(301), seconds(MAX), seconds(1, 500_000_000)],
  },
  {
    name: "merge",
    rpcs: ["updateSession"],
    set: (merge) => ({ merge }),
    accepts: [DataMerge.UNSPECIFIED, DataMerge.FLAT, DataMerge.PATCH],
    refuses: [3, -1],
  },
  {
    name: "tokens",
    rpcs: ["batchGetSessions"],
    set: (tokens) => ({ tokens }),
    accepts: [Array(1000).fill(TOKEN), ["not a token"]],
    refuses: [[], Array(1001).fill(TOKEN)],
  },
  {
    name: "request_id",
    rpcs: [
      "createSession",
      "updateSession",
      "extendSession",
      "rotateToken",
      "deleteSession",
      "deleteUserSessions",
      "deleteAppSessions",
    ],
    set: (requestId) => ({ requestId }),
    accepts: ["", UUID],
    refuses: ["x".repeat(15), "x".repeat(65), `${UUID}\n`, "with spaces in it", "é".repeat(16)],
  },
];

/** Calls the RPC; resolves with its answer, or with the first if it streams them. */
async function call({ client }: Trial, rpc: Rpc, request: object): Promise<unknown> {
  if (rpc === "watchSessions") {
    for await (const response of client.watchSessions(request)) return response;
  }
  const method = client[rpc] as (request: object) => Promise<unknown>;
  return method(request);
}

const show = (value: unknown): string =>
  JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? `${inner}` : inner));

const accepting = ({ name, rpcs, set, accepts }: Field): Case[] =>
  rpcs.map((rpc) => ({
    title: `${rpc} accepts ${name} up to its limits`,
    async holds(trial) {
      for (const value of accepts) {
        const field = set(value as never);
        const added = await trial.add(name === "app" ? field : {});
        const request = { app: trial.app, ...REQUESTS[rpc](added), ...field };
        await call(trial, rpc, request).catch((error: unknown) => {
          throw new Error(`${show(value)} was refused`, { cause: error });
        });
      }
    },
  }));

const refusing = ({ name, rpcs, set, refuses }: Field): Case[] =>
  rpcs.map((rpc) => ({
    title: `${rpc} refuses ${name} beyond its limits`,
    storeless: true,
    async holds(trial) {
      const added = await trial.add();
      for (const value of refuses) {
        const request = { app: trial.app, ...REQUESTS[rpc](added), ...set(value as never) };
        await assertRefused(call(trial, rpc, request), invalid(name), show(value));
      }
    },
  }));

export const fields: readonly Case[] = [
  ...FIELDS.filter(({ accepts }) => accepts.length > 0).flatMap(accepting),
  ...FIELDS.flatMap(refusing),
];
