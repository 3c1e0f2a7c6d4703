import { type Added, assertRefused, type Case, invalid, seconds, type Trial } from "../case.js";

/** The RPCs that name an app. */
type Rpc = Exclude<keyof Trial["client"], "getCurrentSession" | "listCallers">;

/** A request that is answered, but for what `set` of a field puts into it. */
const REQUESTS: Readonly<Record<Rpc, (added: Added) => object>> = {
  createSession: () => ({ userId: "ann" }),
  getSession: ({ token }) => ({ token }),
  updateSession: ({ token }) => ({ token, data: { a: 1 } }),
  extendSession: ({ token }) => ({ token, idleTtl: seconds(60) }),
  deleteSession: ({ token }) => ({ target: { case: "token", value: token } }),
  deleteUserSessions: () => ({ userId: "ann" }),
  deleteAppSessions: () => ({}),
  listSessions: () => ({}),
  listUserSessions: () => ({ userId: "ann" }),
  countActiveUsers: () => ({ activeWithin: seconds(60) }),
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
  TOKEN.slice(1),
  `${TOKEN}x`,
  `${TOKEN.slice(1)}-`,
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
    rpcs: ["createSession"],
    set: (ip) => ({ ip }),
    accepts: ["", "1", "f".repeat(39)],
    refuses: ["f".repeat(40), "192.0.2.1\n"],
  },
  {
    name: "user_agent",
    rpcs: ["createSession"],
    set: (userAgent) => ({ userAgent }),
    accepts: ["", "x", "✓".repeat(512)],
    refuses: ["x".repeat(513), "a\u0007"],
  },
  {
    name: "token",
    rpcs: ["getSession", "updateSession", "extendSession"],
    set: (token) => ({ token }),
    accepts: [],
    refuses: NO_TOKENS,
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
    name: "expected_version",
    rpcs: ["updateSession"],
    set: (expectedVersion) => ({ expectedVersion }),
    accepts: [1n],
    refuses: [0n, -1n, 2n ** 53n, 2n ** 63n - 1n],
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
