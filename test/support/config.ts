import type { Config, RkeConfig } from "../../src/config/config.js";
import { DEFAULT_QUOTAS } from "../../src/domain/sessions/quotas.js";

/** The settings of RKE by default. */
export const RKE: RkeConfig = {
  maxSessions: 16,
  sessionTtl: 3_600,
  keyCacheTtl: 86_400,
  wallets: null,
  resolvers: [],
  raida: null,
  minShareBytes: 16,
};

/** Returns what a server is started with in a test: a memory store, listeners on free ports. */
export function createConfig(settings: Partial<Config> = {}): Config {
  return {
    grpc: "127.0.0.1:0",
    http: "127.0.0.1:0",
    command: "127.0.0.1:0",
    auth: "off",
    publicParts: ["health"],
    tls: null,
    httpHosts: [],
    httpOrigins: [],
    trustedProxies: [],
    proxyProtocol: [],
    store: { scheme: "memory" },
    connectionLimits: { connections: 8_192, perAddress: 4_096 },
    commandLimits: { connections: 4_096, perAddress: 1_024, idle: null },
    // Tests share their processors: that they are slow is no overload.
    turnCalls: null,
    drain: 0,
    maxConnectionAge: null,
    cacheBytes: 2 ** 24,
    quotas: DEFAULT_QUOTAS,
    rke: RKE,
    logLevel: "silent",
    warnings: [],
    ...settings,
  };
}
