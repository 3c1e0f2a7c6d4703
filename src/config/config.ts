import { DEFAULT_QUOTAS, type Quotas } from "../domain/sessions/quotas.js";
import type { Network } from "../lib/network.js";
import type { StoreLocation } from "../stores/index.js";
import type { PublicPart } from "../transports/net/listener.js";
import type { TlsFiles } from "../transports/net/tls.js";
import { type LogLevel, SETTINGS } from "./settings.js";
import {
  isOpen,
  readAddress,
  readAddressOrFile,
  readAuth,
  readBoolean,
  readHosts,
  readIdle,
  readLogLevel,
  readMost,
  readNetworks,
  readOrigins,
  readPath,
  readPublicParts,
  readResolvers,
  readStore,
  readTlsFiles,
  readTurnCalls,
  readWhole,
  wrong,
} from "./values.js";

/** Everything that the environment and the flags of `serve` decide. */
export interface Config {
  /** `host:port`, or null if the listener is off; the first two also `unix:PATH`. */
  readonly grpc: string | null;
  readonly http: string | null;
  readonly command: string | null;
  /** Connections of the gRPC and HTTP listeners, in all and of one address. */
  readonly connectionLimits: ConnectionLimitSettings;
  readonly commandLimits: CommandLimitSettings;
  /** Hosts that HTTP requests may carry beside the machine's own, as `parseHost` answers them. */
  readonly httpHosts: readonly string[];
  /** Origins whose pages may call, as browsers send them. */
  readonly httpOrigins: readonly string[];
  /** The networks whose word is taken for whom their calls come from; `unix:` stands for
   * whoever connects to a socket file. */
  readonly trustedProxies: readonly (Network | "unix:")[];
  /** The networks whose connections begin with a PROXY header, likewise. */
  readonly proxyProtocol: readonly (Network | "unix:")[];
  readonly store: StoreLocation;
  /** Bytes. */
  readonly cacheBytes: number;
  /** What the store keeps at most. */
  readonly quotas: Quotas;
  readonly auth: "off" | "required";
  /** What may be called without credentials where authentication is required. */
  readonly publicParts: readonly PublicPart[];
  /** Null: no TLS. */
  readonly tls: TlsFiles | null;
  /** Seconds between saying that the server stops and closing its listeners. */
  readonly drain: number;
  /** Milliseconds after which gRPC and HTTP connections are to be made anew; null: never. */
  readonly maxConnectionAge: number | null;
  /** How many calls an overloaded server takes up in one turn of its event loop; null: all. */
  readonly turnCalls: number | null;
  readonly rke: RkeConfig;
  readonly logLevel: LogLevel;
  /** What to tell the operator about settings that are heeded in part. */
  readonly warnings: readonly string[];
}

export interface ConnectionLimitSettings {
  readonly connections: number;
  readonly perAddress: number;
}

/** Those of the command listener. */
export interface CommandLimitSettings extends ConnectionLimitSettings {
  /** Milliseconds from one command to the next; null: any time. */
  readonly idle: number | null;
}

export interface RkeConfig {
  readonly maxSessions: number;
  /** Seconds. */
  readonly sessionTtl: number;
  /** Seconds that a key is kept for its domain; 0: not at all. */
  readonly keyCacheTtl: number;
  /** The folder that wallets must lie in; null: no wallet may be used. */
  readonly wallets: string | null;
  /** DNS servers, each `ip` or `ip:port`, IPv6 with a port in brackets; none stands for the system's. */
  readonly resolvers: readonly string[];
  /** The file that numbers the RAIDA servers; null: DNS does. */
  readonly raida: string | null;
  /** Shares shorter than this are refused. */
  readonly minShareBytes: number;
}

/** Seconds. */
const WEEK = 604_800;

/** Those of rest-sessions, so that its deployments start unchanged. */
const ALIASES = ["RS_PORT", "RS_REDISHOST", "RS_REDISPORT", "RS_NAMESPACE", "RS_LOGLEVEL"];

type Variable = (typeof SETTINGS)[number]["variable"];

/**
 * The configuration of one start. `flags` are the flags of `serve` by name and
 * win over `env`. Throws `invalid` with one line that names the culprit.
 */
export function readConfig(
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Record<string, string | undefined>> = {},
): Config {
  const known: readonly string[] = SETTINGS.map(({ variable }) => variable);
  for (const name of Object.keys(env)) {
    if (name.startsWith("LATCHKEY_") && !known.includes(name)) {
      throw wrong(name, `is no setting of Latchkey; the settings are ${known.join(", ")}`);
    }
  }
  const value = (variable: Variable): { name: string; text: string; isSet: boolean } => {
    const setting = SETTINGS.find((one) => one.variable === variable) ?? SETTINGS[0];
    const flag = flags[setting.flag];
    if (flag !== undefined) return { name: `--${setting.flag}`, text: flag, isSet: true };
    const text = env[variable];
    return { name: variable, text: text ?? setting.fallback, isSet: text !== undefined };
  };

  const auth = readAuth(value("LATCHKEY_AUTH"));
  const allowOpen = readBoolean(value("LATCHKEY_ALLOW_OPEN")) || auth === "required";
  const warnings: string[] = [];
  let http = value("LATCHKEY_HTTP");
  if (env["RS_PORT"] !== undefined && !http.isSet) {
    http = { name: "RS_PORT", text: `127.0.0.1:${env["RS_PORT"]}`, isSet: true };
    warnings.push(
      `RS_PORT listens on 127.0.0.1 only: to be reached from elsewhere, set LATCHKEY_HTTP=0.0.0.0:${env["RS_PORT"]} and LATCHKEY_ALLOW_OPEN=true, and LATCHKEY_HTTP_HOSTS to the name that callers use`,
    );
  }
  const config = {
    grpc: readAddressOrFile(value("LATCHKEY_GRPC"), allowOpen),
    http: readAddressOrFile(http, allowOpen),
    command: readAddress(value("LATCHKEY_COMMAND"), allowOpen),
    connectionLimits: {
      connections: readWhole(value("LATCHKEY_CONNECTIONS"), 10, 100_000),
      perAddress: readWhole(value("LATCHKEY_CONNECTIONS_PER_ADDRESS"), 10, 100_000),
    },
    commandLimits: {
      connections: readWhole(value("LATCHKEY_COMMAND_CONNECTIONS"), 1, 100_000),
      perAddress: readWhole(value("LATCHKEY_COMMAND_PER_ADDRESS"), 1, 100_000),
      idle: readIdle(value("LATCHKEY_COMMAND_IDLE"), WEEK),
    },
    auth,
    publicParts: readPublicParts(value("LATCHKEY_PUBLIC")),
    tls: readTlsFiles(
      value("LATCHKEY_TLS_CERT"),
      value("LATCHKEY_TLS_KEY"),
      value("LATCHKEY_TLS_CLIENT_CA"),
    ),
    httpHosts: readHosts(value("LATCHKEY_HTTP_HOSTS")),
    httpOrigins: readOrigins(value("LATCHKEY_HTTP_ORIGINS")),
    trustedProxies: readNetworks(value("LATCHKEY_TRUSTED_PROXIES")),
    proxyProtocol: readNetworks(value("LATCHKEY_PROXY_PROTOCOL")),
    store: readStore(value("LATCHKEY_STORE")),
    drain: readWhole(value("LATCHKEY_DRAIN"), 0, 600),
    maxConnectionAge: readIdle(value("LATCHKEY_MAX_CONNECTION_AGE"), WEEK),
    turnCalls: readTurnCalls(value("LATCHKEY_TURN_CALLS")),
    cacheBytes: readWhole(value("LATCHKEY_CACHE_MIB"), 1, 65_536) * 2 ** 20,
    quotas: {
      ...DEFAULT_QUOTAS,
      ofApp: {
        sessions: readMost(value("LATCHKEY_APP_SESSIONS"), 1_000_000_000),
        dataBytes: readMost(value("LATCHKEY_APP_DATA_MIB"), 2 ** 24) * 2 ** 20,
        answerBytes: readMost(value("LATCHKEY_APP_ANSWERS_MIB"), 2 ** 24) * 2 ** 20,
      },
    },
    rke: {
      maxSessions: readWhole(value("LATCHKEY_RKE_MAX_SESSIONS"), 1, 1_024),
      sessionTtl: readWhole(value("LATCHKEY_RKE_SESSION_TTL"), 10, WEEK),
      keyCacheTtl: readWhole(value("LATCHKEY_RKE_KEY_CACHE_TTL"), 0, WEEK),
      wallets: readPath(value("LATCHKEY_RKE_WALLETS")),
      resolvers: readResolvers(value("LATCHKEY_RKE_RESOLVERS")),
      raida: readPath(value("LATCHKEY_RKE_RAIDA")),
      minShareBytes: readWhole(value("LATCHKEY_RKE_MIN_SHARE_BYTES"), 1, 64),
    },
    logLevel: readLogLevel(value("LATCHKEY_LOG_LEVEL"), env["RS_LOGLEVEL"]),
  };
  if (config.grpc === null && config.http === null) {
    throw wrong("LATCHKEY_GRPC and LATCHKEY_HTTP", "are both off: no session would be served");
  }
  if (auth === "required" && config.store.scheme === "memory") {
    throw wrong(
      "LATCHKEY_AUTH",
      "is required, but LATCHKEY_STORE is memory:, which keeps no accounts: use sqlite:PATH",
    );
  }
  const open = [config.grpc, config.http, config.command].filter(isOpen);
  if (auth === "required" && config.tls === null && open.length > 0) {
    warnings.push(
      `${open.join(", ")} can be reached by others and has no TLS: passwords, keys and tokens cross the network readable; set LATCHKEY_TLS_CERT and LATCHKEY_TLS_KEY`,
    );
  }
  const redis = ALIASES.filter((name) => /REDIS|NAMESPACE/.test(name) && env[name] !== undefined);
  if (redis.length > 0) {
    warnings.push(
      `${redis.join(", ")} has no effect: sessions are kept by ${value("LATCHKEY_STORE").text}, and Redis is not needed`,
    );
  }
  return Object.freeze({ ...config, warnings });
}
