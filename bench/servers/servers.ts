import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { SERVER_FLAGS } from "../../src/cli/runtime.js";
import { startDevnet } from "../../src/rke/devnet/devnet.js";
import { startEtcd } from "./etcd.js";
import { startProcess } from "./process.js";

/** Where and how a round runs its server. */
export interface Site {
  /** The project's folder. */
  readonly root: string;
  /** A fresh folder below `root`: `root` lies on a disk, the system's own may be memory. */
  readonly dir: string;
  /** The store that Latchkey is started with. */
  readonly store: "sqlite" | "memory:";
  /** The database of the store `sqlite`; a fresh one in `dir` if absent. */
  readonly database?: string;
  /** Latchkey's LATCHKEY_TURN_CALLS; its default if absent. */
  readonly turnCalls?: number;
  /** Flags that Latchkey's Node gets; those that a server has if absent. */
  readonly flags?: readonly string[];
  readonly signal: AbortSignal;
}

export interface Server {
  /** HTTP address without a path, `http://127.0.0.1:1234`; absent if it has none. */
  readonly http?: string;
  /** gRPC address, `127.0.0.1:1234`; absent if it has none. */
  readonly grpc?: string;
  /** Address of its command listener; absent if it has none. */
  readonly command?: string;
  /** Headers without which it answers no call, names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What it serves by gRPC; Latchkey's services if absent. */
  readonly serves?: "etcd";
  /** What an RKE session of it is made of; absent if it has none. */
  readonly rke?: { readonly domain: string; readonly walletPath: string };
  /** Of the process that answers the calls. */
  readonly pid: number | undefined;
  /** Processes that work for it, such as its database. */
  readonly helpers?: readonly number[];
  /** Whether it counts its calls at `/metrics`. */
  readonly hasMetrics: boolean;
  /** Throws if a process of it has ended. */
  readonly checkRunning: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

export type ServerName =
  | "latchkey"
  | "latchkey-auth"
  | "latchkey-key"
  | "latchkey-rke"
  | "rke-echo"
  | "rke-echo-gcm"
  | "rest-sessions"
  | "fastify"
  | "trivial"
  | "grpc-echo"
  | "etcd";

type Wire = "http" | "grpc" | "command";

interface NodeProgram {
  readonly name: ServerName;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly wires: readonly Wire[];
  readonly hasMetrics?: boolean;
}

/** How each server is started, always in a process of its own on free loopback ports. */
export const SERVERS: Record<ServerName, (site: Site) => Promise<Server>> = {
  latchkey: (site) => startNode(site, latchkey("latchkey", site)),

  async "latchkey-key"(site) {
    const server = await startNode(site, latchkey("latchkey-key", site));
    const key = `lk_${randomBytes(32).toString("base64url")}`;
    return { ...server, headers: { authorization: `Bearer ${key}` } };
  },

  async "latchkey-auth"(site) {
    const { headers, ...server } = await startWithAccounts(site, { bench: "ben*" });
    return { ...server, headers: headers["bench"] ?? {} };
  },

  async "latchkey-rke"(site) {
    const domain = "bench.test";
    const devnet = await startDevnet({ domain, folder: null, random: randomBytes });
    try {
      const program = latchkey("latchkey-rke", site);
      const server = await startNode(site, { ...program, env: { ...program.env, ...devnet.env } });
      return {
        ...server,
        rke: { domain, walletPath: devnet.wallet },
        async stop() {
          await server.stop();
          await devnet.close();
        },
      };
    } catch (error) {
      await devnet.close();
      throw error;
    }
  },

  "rke-echo": (site) => startRkeEcho(site, "rke-echo", []),
  "rke-echo-gcm": (site) => startRkeEcho(site, "rke-echo-gcm", ["encrypt"]),

  async "rest-sessions"(site) {
    // A path relative to the working folder: a socket's path must be short.
    const socket = relative(site.root, join(site.dir, "redis.sock"));
    const redis = await startProcess({
      name: "redis-server",
      argv: ["redis-server", ...REDIS_IN_MEMORY, "--port", "0", "--unixsocket", socket],
      env: environment(),
      cwd: site.root,
      dir: site.dir,
    });
    try {
      const isReady = (line: string) => line.includes("ready to accept connections") || undefined;
      await redis.waitFor(isReady, site.signal);
      const server = await startNode(site, {
        ...peer("rest-sessions", "http"),
        env: { BENCH_REDIS_SOCKET: socket },
      });
      return {
        ...server,
        helpers: redis.pid === undefined ? [] : [redis.pid],
        async checkRunning() {
          await redis.checkRunning();
          await server.checkRunning();
        },
        async stop() {
          await server.stop();
          await redis.stop();
        },
      };
    } catch (error) {
      await redis.stop();
      throw error;
    }
  },

  fastify: (site) => startNode(site, ceiling("fastify", "http")),
  trivial: (site) => startNode(site, ceiling("trivial", "http")),
  "grpc-echo": (site) => startNode(site, ceiling("grpc-echo", "grpc")),
  etcd: (site) => startEtcd(site, environment()),
};

/**
 * Starts Latchkey with authentication, all its listeners, and a User of each name with the apps that
 * are said. Answers by which headers each of them calls, too.
 */
export async function startWithAccounts(site: Site, apps: Readonly<Record<string, string>>) {
  const program = latchkey("latchkey-auth", site);
  const env = { ...program.env, LATCHKEY_AUTH: "required", LATCHKEY_COMMAND: "127.0.0.1:0" };
  const account = async (...args: string[]) => {
    const argv = [join(site.root, "dist/src/bin.js"), "account", ...args];
    const { stdout } = await promisify(execFile)(process.execPath, argv, {
      env: { ...environment(), ...env },
      cwd: site.root,
    });
    return stdout.trim();
  };
  const headers: Record<string, Record<string, string>> = {};
  for (const [name, patterns] of Object.entries(apps)) {
    await account("add", name, "--role", "User", "--apps", patterns);
    const key = await account("key", "add", name, "--label", "bench");
    headers[name] = { authorization: `Bearer ${key}` };
  }
  const server = await startNode(site, { ...program, env, wires: [...program.wires, "command"] });
  return { ...server, headers };
}

function latchkey(name: ServerName, site: Site): NodeProgram {
  const { root, dir, store, database = join(dir, "latchkey.db") } = site;
  return {
    name,
    args: [...(site.flags ?? SERVER_FLAGS), join(root, "dist/src/bin.js"), "serve"],
    env: {
      LATCHKEY_GRPC: "127.0.0.1:0",
      LATCHKEY_HTTP: "127.0.0.1:0",
      LATCHKEY_COMMAND: "off",
      ...(site.turnCalls === undefined ? {} : { LATCHKEY_TURN_CALLS: `${site.turnCalls}` }),
      LATCHKEY_STORE: store === "sqlite" ? `sqlite:${database}` : store,
      LATCHKEY_LOG_LEVEL: "info",
    },
    wires: ["http", "grpc"],
    hasMetrics: true,
  };
}

const REDIS_IN_MEMORY = ["--save", "", "--appendonly", "no"];

function peer(name: ServerName, wire: Wire, flags: readonly string[] = []): NodeProgram {
  return {
    name,
    args: [...flags, "--import", "tsx", `bench/servers/peers/${name}.ts`],
    wires: [wire],
  };
}

/** A bare server that no service of its wire can be faster than. */
function ceiling(name: ServerName, wire: Wire): NodeProgram {
  return peer(name, wire, SERVER_FLAGS);
}

async function startRkeEcho(site: Site, name: ServerName, args: readonly string[]) {
  const program = ceiling("rke-echo", "grpc");
  const server = await startNode(site, { ...program, name, args: [...program.args, ...args] });
  return { ...server, rke: { domain: "bench.test", walletPath: "/" } };
}

async function startNode(site: Site, program: NodeProgram): Promise<Server> {
  const child = await startProcess({
    name: program.name,
    argv: [process.execPath, ...program.args],
    env: { ...environment(), ...program.env },
    cwd: site.root,
    dir: site.dir,
  });
  try {
    const addresses: { http?: string; grpc?: string; command?: string } = {};
    for (const wire of program.wires) {
      const address = await child.waitFor((line) => addressIn(line, wire), site.signal);
      addresses[wire] = wire === "http" ? `http://${address}` : address;
    }
    return {
      ...addresses,
      pid: child.pid,
      hasMetrics: program.hasMetrics ?? false,
      checkRunning: child.checkRunning,
      stop: child.stop,
    };
  } catch (error) {
    await child.stop();
    throw error;
  }
}

/** This process's environment without settings that would change what is measured. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(LATCHKEY_|RS_|NODE_|BENCH_|ETCD_)/.test(name),
  );
  return { ...Object.fromEntries(kept), NODE_ENV: "production" };
}

/** The address in the line that tells of this wire's listener. */
function addressIn(line: string, wire: Wire): string | undefined {
  if (!line.startsWith('{"')) return undefined;
  const entry: unknown = JSON.parse(line);
  const isListener =
    typeof entry === "object" && entry !== null && "listener" in entry && entry.listener === wire;
  return isListener && "address" in entry && typeof entry.address === "string"
    ? entry.address
    : undefined;
}
