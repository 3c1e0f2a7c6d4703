/** From the fewest lines to the most, and none. */
export const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

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
    meaning:
      "gRPC listener, host:port or `unix:PATH`; `off` disables it; port 0 picks a free one and logs it",
  },
  {
    variable: "LATCHKEY_HTTP",
    flag: "http",
    fallback: "127.0.0.1:8080",
    meaning:
      "JSON gateway, Connect, gRPC-Web, health, metrics; `unix:PATH`, `off` and port 0 likewise",
  },
  {
    variable: "LATCHKEY_COMMAND",
    flag: "command",
    fallback: "127.0.0.1:9219",
    meaning: "command protocol; `off` and port 0 likewise",
  },
  {
    variable: "LATCHKEY_CONNECTIONS",
    flag: "connections",
    fallback: "8192",
    meaning:
      "connections of the gRPC and HTTP listeners together, 10 to 100000, as far as the limit of open files allows; at the limit one that has shown no good credentials gives way, of the network with the most of them",
  },
  {
    variable: "LATCHKEY_CONNECTIONS_PER_ADDRESS",
    flag: "connections-per-address",
    fallback: "4096",
    meaning:
      "the same of one address (IPv6: of one /64); socket files and LATCHKEY_TRUSTED_PROXIES are not counted",
  },
  {
    variable: "LATCHKEY_COMMAND_CONNECTIONS",
    flag: "command-connections",
    fallback: "4096",
    meaning:
      "connections of the command listener, 1 to 100000; at the limit one whose AUTH was not accepted gives way, or the new one is refused",
  },
  {
    variable: "LATCHKEY_COMMAND_PER_ADDRESS",
    flag: "command-per-address",
    fallback: "1024",
    meaning: "the same of one address, behind a proxy that of everybody",
  },
  {
    variable: "LATCHKEY_COMMAND_IDLE",
    flag: "command-idle",
    fallback: "off",
    meaning:
      "seconds of silence after which the command listener ends a connection, 1 to 604800; `off`: never, but TCP finds those whose client is gone",
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
    variable: "LATCHKEY_TRUSTED_PROXIES",
    flag: "trusted-proxies",
    fallback: "none",
    meaning:
      "comma-separated networks of proxies, such as `10.0.0.0/8`, `unix:` for socket files, whose X-Forwarded-For or Forwarded tells a caller's address",
  },
  {
    variable: "LATCHKEY_PROXY_PROTOCOL",
    flag: "proxy-protocol",
    fallback: "none",
    meaning:
      "networks likewise, whose connections to every listener begin with a PROXY protocol header, version 1 or 2, that tells a caller's address; others' never do",
  },
  {
    variable: "LATCHKEY_STORE",
    flag: "store",
    fallback: "sqlite:./latchkey-data/latchkey.db",
    meaning: "where sessions are kept: `sqlite:PATH`, or `memory:` (lost at exit)",
  },
  {
    variable: "LATCHKEY_CACHE_MIB",
    flag: "cache-mib",
    fallback: "128",
    meaning:
      "memory (MiB) for cached sessions, 1 to 65536, about 1 KiB for a small one; the others are read from the file",
  },
  {
    variable: "LATCHKEY_APP_SESSIONS",
    flag: "app-sessions",
    fallback: "off",
    meaning:
      "sessions that one app may have, 1 to 1000000000, beyond which none of it is created; `off`: any number",
  },
  {
    variable: "LATCHKEY_APP_DATA_MIB",
    flag: "app-data-mib",
    fallback: "off",
    meaning:
      "session data (MiB) that one app may have, 1 to 16777216, beyond which none of it grows; `off`: any amount",
  },
  {
    variable: "LATCHKEY_APP_ANSWERS_MIB",
    flag: "app-answers-mib",
    fallback: "4096",
    meaning:
      "answers (MiB) to calls with a request_id that are kept of one app for 24 hours, 1 to 16777216, beyond which such calls are refused; `off`: any amount",
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
    variable: "LATCHKEY_DRAIN",
    flag: "drain",
    fallback: "0",
    meaning:
      "seconds at a stop, 0 to 600, in which health says NOT_SERVING and calls are served on, so that balancers turn away first",
  },
  {
    variable: "LATCHKEY_MAX_CONNECTION_AGE",
    flag: "max-connection-age",
    fallback: "off",
    meaning:
      "seconds after which clients are asked to make a gRPC or HTTP connection anew, 1 to 604800, a tenth more or less, so that new servers get callers; `off`: never",
  },
  {
    variable: "LATCHKEY_TURN_CALLS",
    flag: "turn-calls",
    fallback: "256",
    meaning:
      "how many calls an overloaded server takes up at a time, 1 to 10000, and refuses others; `off`: it refuses none",
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
