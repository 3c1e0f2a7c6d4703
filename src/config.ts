import { isIP } from "node:net";
import { LatchkeyError } from "./domain/error.js";
import { isLoopback, parseHost } from "./domain/host.js";
import type { StoreLocation } from "./stores/index.js";
import type { PublicPart } from "./transports/listener.js";
import type { TlsFiles } from "./transports/tls.js";

/** Everything that the environment and the flags of `serve` decide. */
export interface Config {
  /** `host:port`, or null if the listener is off. */
  readonly grpc: string | null;
  readonly http: string | null;
  readonly command: string | null;
  /** Hosts that HTTP requests may carry beside the machine's own, as `parseHost` answers them. */
  readonly httpHosts: readonly string[];
  /** Origins whose pages may call, as browsers send them. */
  readonly httpOrigins: readonly string[];
  readonly store: StoreLocation;
  readonly auth: "off" | "required";
  /** What may be called without credentials where authentication is required. */
  readonly publicParts: readonly PublicPart[];
  /** Null: no TLS. */
  readonly tls: TlsFiles | null;
  readonly rke: RkeConfig;
  readonly logLevel: LogLevel;
  /** What to tell the operator about settings that are heeded in part. */
  readonly warnings: readonly string[];
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

const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const PUBLIC_PARTS = ["health", "reflection", "metrics"] as const satisfies readonly PublicPart[];

/** One setting: its variable, its flag, its default, and what `--help` says of it. */
export interface Setting {
  readonly variable: string;
  readonly flag: string;
  readonly fallback: string;
  readonly meaning: string;
}

/** The table of settings; README and `--help` show the same. */
export const SETTINGS = [
  {
    variable: "LATCHKEY_GRPC",
    flag: "grpc",
    fallback: "127.0.0.1:50051",
    meaning: "gRPC listener; `off` disables it; port 0 picks a free one and logs it",
  },
  {
    variable: "LATCHKEY_HTTP",
    flag: "http",
    fallback: "127.0.0.1:8080",
    meaning: "JSON gateway, Connect, gRPC-Web, health, metrics; `off` and port 0 likewise",
  },
  {
    variable: "LATCHKEY_COMMAND",
    flag: "command",
    fallback: "127.0.0.1:9219",
    meaning: "command protocol; `off` and port 0 likewise",
  },
  {
    variable: "LATCHKEY_HTTP_HOSTS",
    flag: "http-hosts",
    fallback: "none",
    meaning:
      "comma-separated host names that HTTP requests may carry, beside loopback names and the bound address; any IP address too if that is not loopback",
  },
  {
    variable: "LATCHKEY_HTTP_ORIGINS",
    flag: "http-origins",
    fallback: "none",
    meaning: "comma-separated web origins, such as `https://app.example`, whose pages may call",
  },
  {
    variable: "LATCHKEY_STORE",
    flag: "store",
    fallback: "sqlite:./latchkey-data/latchkey.db",
    meaning: "where sessions are kept: `sqlite:PATH`, or `memory:` (lost at exit)",
  },
  {
    variable: "LATCHKEY_AUTH",
    flag: "auth",
    fallback: "off",
    meaning: "`required`: every call needs an account's credentials; `off`: none does",
  },
  {
    variable: "LATCHKEY_PUBLIC",
    flag: "public",
    fallback: "health",
    meaning:
      "comma-separated parts that need no credentials all the same: health, reflection (with /openapi.json), metrics; or none",
  },
  {
    variable: "LATCHKEY_TLS_CERT",
    flag: "tls-cert",
    fallback: "none",
    meaning: "file of the certificate (chain) in PEM: TLS on all listeners",
  },
  {
    variable: "LATCHKEY_TLS_KEY",
    flag: "tls-key",
    fallback: "none",
    meaning: "file of its private key in PEM",
  },
  {
    variable: "LATCHKEY_TLS_CLIENT_CA",
    flag: "tls-client-ca",
    fallback: "none",
    meaning:
      "file of the authority whose certificates callers must have; a certificate's common name is its account",
  },
  {
    variable: "LATCHKEY_ALLOW_OPEN",
    flag: "allow-open",
    fallback: "false",
    meaning: "`true` permits listeners beyond loopback although callers are not authenticated",
  },
  {
    variable: "LATCHKEY_RKE_MAX_SESSIONS",
    flag: "rke-max-sessions",
    fallback: "16",
    meaning: "how many RKE sessions there may be at a time, 1 to 1024",
  },
  {
    variable: "LATCHKEY_RKE_SESSION_TTL",
    flag: "rke-session-ttl",
    fallback: "3600",
    meaning: "seconds that an RKE session lives, 10 to 604800 (a week)",
  },
  {
    variable: "LATCHKEY_RKE_KEY_CACHE_TTL",
    flag: "rke-key-cache-ttl",
    fallback: "86400",
    meaning: "seconds that a key is kept in memory for its domain, up to 604800; 0: not at all",
  },
  {
    variable: "LATCHKEY_RKE_WALLETS",
    flag: "rke-wallets",
    fallback: "none",
    meaning: "the folder that RKE wallets must lie in; `none` refuses every wallet",
  },
  {
    variable: "LATCHKEY_RKE_RESOLVERS",
    flag: "rke-resolvers",
    fallback: "system",
    meaning:
      "comma-separated DNS servers that find Content Servers, such as `192.0.2.53` or `127.0.0.1:5353`; or system",
  },
  {
    variable: "LATCHKEY_RKE_RAIDA",
    flag: "rke-raida",
    fallback: "none",
    meaning: "file of `number host:port` lines that numbers the RAIDA servers",
  },
  {
    variable: "LATCHKEY_RKE_MIN_SHARE_BYTES",
    flag: "rke-min-share-bytes",
    fallback: "16",
    meaning: "key shares shorter than this are refused, 1 to 64; under 16 keys can be guessed",
  },
  {
    variable: "LATCHKEY_LOG_LEVEL",
    flag: "log-level",
    fallback: "info",
    meaning: `${LOG_LEVELS.join(", ")}; calls are logged at debug`,
  },
] as const satisfies readonly Setting[];

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
    grpc: readAddress(value("LATCHKEY_GRPC"), allowOpen),
    http: readAddress(http, allowOpen),
    command: readAddress(value("LATCHKEY_COMMAND"), allowOpen),
    auth,
    publicParts: readPublicParts(value("LATCHKEY_PUBLIC")),
    tls: readTlsFiles(
      value("LATCHKEY_TLS_CERT"),
      value("LATCHKEY_TLS_KEY"),
      value("LATCHKEY_TLS_CLIENT_CA"),
    ),
    httpHosts: readHosts(value("LATCHKEY_HTTP_HOSTS")),
    httpOrigins: readOrigins(value("LATCHKEY_HTTP_ORIGINS")),
    store: readStore(value("LATCHKEY_STORE")),
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

/** Seconds. */
const WEEK = 604_800;

interface Given {
  readonly name: string;
  readonly text: string;
}

function readAddress({ name, text }: Given, allowOpen: boolean): string | null {
  if (text === "off") return null;
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (!match || !host || Number(match[3]) > 65_535 || (match[1] && isIP(match[1]) !== 6)) {
    throw wrong(
      name,
      `is ${JSON.stringify(text)}; it must be host:port such as 127.0.0.1:8080, or off`,
    );
  }
  if (!isLoopback(host) && !allowOpen) {
    throw wrong(
      name,
      `is ${text}, which others can reach, and callers are not authenticated: use 127.0.0.1, or set LATCHKEY_AUTH=required, or LATCHKEY_ALLOW_OPEN=true`,
    );
  }
  return text;
}

function isOpen(address: string | null): address is string {
  return address !== null && !isLoopback(address.slice(0, address.lastIndexOf(":")));
}

function readAuth({ name, text }: Given): Config["auth"] {
  if (text === "off" || text === "required") return text;
  throw wrong(name, `is ${JSON.stringify(text)}; it must be off or required`);
}

function readPublicParts({ name, text }: Given): readonly PublicPart[] {
  return readList(text).map((entry) => {
    const part = PUBLIC_PARTS.find((one) => one === entry);
    if (part) return part;
    throw wrong(
      name,
      `has ${JSON.stringify(entry)}; it must be some of ${PUBLIC_PARTS.join(",")}, or none`,
    );
  });
}

function readTlsFiles(cert: Given, key: Given, clientCa: Given): TlsFiles | null {
  const [certFile, keyFile, caFile] = [cert, key, clientCa].map(({ text }) =>
    text === "none" || text === "" ? null : text,
  );
  if (certFile && keyFile) return { cert: certFile, key: keyFile, clientCa: caFile ?? null };
  if (certFile) throw wrong(cert.name, `needs ${key.name} beside it, the file of its private key`);
  if (keyFile) throw wrong(key.name, `needs ${cert.name} beside it, the file of its certificate`);
  if (caFile) throw wrong(clientCa.name, `needs ${cert.name} and ${key.name} beside it`);
  return null;
}

function readHosts({ name, text }: Given): readonly string[] {
  return readList(text).map((entry) => {
    const host = entry.toLowerCase();
    if (parseHost(host) === host) return host;
    throw wrong(
      name,
      `has ${JSON.stringify(entry)}; it must be host names without ports, such as sessions.example,[2001:db8::1], or none`,
    );
  });
}

function readOrigins({ name, text }: Given): readonly string[] {
  return readList(text).map((entry) => {
    if (entry === "*") {
      throw wrong(
        name,
        "may not be *, which lets every web page in: list the origins that may call",
      );
    }
    const [, scheme = "", host = ""] = /^([a-z][a-z\d+.-]*):\/\/(\S+)$/.exec(entry) ?? [];
    // What browsers send for a scheme of their own (an extension's, an app's) is not ours to know.
    const isWeb = scheme === "http" || scheme === "https";
    const sent = isWeb && URL.canParse(entry) ? new URL(entry).origin : entry;
    if (parseHost(host) !== undefined && sent === entry) return entry;
    throw wrong(
      name,
      `has ${JSON.stringify(entry)}; it must be origins as browsers send them, such as https://app.example,http://localhost:3000, or none`,
    );
  });
}

/** The parts of a comma-separated list; `none` has none. */
function readList(text: string): string[] {
  return text === "none" ? [] : text.split(",").map((part) => part.trim());
}

function readStore({ name, text }: Given): StoreLocation {
  if (text === "memory:") return { scheme: "memory" };
  const path = /^sqlite:(.+)$/s.exec(text)?.[1];
  if (path) return { scheme: "sqlite", path };
  throw wrong(name, `is ${JSON.stringify(text)}; it must be sqlite:PATH or memory:`);
}

function readWhole({ name, text }: Given, min: number, max: number): number {
  const number = /^\d{1,7}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw wrong(name, `is ${JSON.stringify(text)}; it must be a whole number from ${min} to ${max}`);
}

function readPath({ name, text }: Given): string | null {
  if (text !== "") return text === "none" ? null : text;
  throw wrong(name, "is empty; it must be a path, or none");
}

function readResolvers({ name, text }: Given): readonly string[] {
  if (text === "system") return [];
  return text.split(",").map((part) => {
    const entry = part.trim();
    const [, v6, v4 = entry, port = "53"] =
      /^(?:\[([^\]]+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(entry) ?? [];
    const isPort = Number(port) > 0 && Number(port) <= 65_535;
    if (isPort && (v6 === undefined ? isIP(v4) > 0 : isIP(v6) === 6)) return entry;
    throw wrong(
      name,
      `has ${JSON.stringify(entry)}; it must be IP addresses, each with a port if that is not 53, such as 192.0.2.53,127.0.0.1:5353,[2001:db8::1]:53, or system`,
    );
  });
}

function readBoolean({ name, text }: Given): boolean {
  if (text === "true" || text === "false") return text === "true";
  throw wrong(name, `is ${JSON.stringify(text)}; it must be true or false`);
}

/** rest-sessions names a format of request lines, or `none` for no lines. */
function readLogLevel(
  { name, text, isSet }: Given & { isSet: boolean },
  restLevel: string | undefined,
): LogLevel {
  if (!isSet && restLevel !== undefined && restLevel !== "none") return "debug";
  const level = LOG_LEVELS.find((one) => one === text);
  if (level) return level;
  throw wrong(name, `is ${JSON.stringify(text)}; it must be one of ${LOG_LEVELS.join(", ")}`);
}

function wrong(name: string, message: string): LatchkeyError {
  return new LatchkeyError("invalid", `${name} ${message}`);
}
