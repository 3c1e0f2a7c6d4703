import { readFileSync } from "node:fs";
import type { Logger } from "pino";
import { describeFault, LatchkeyError } from "../domain/error.js";
import type { KeyExchange } from "../domain/rke/key-exchange.js";
import type { RandomBytes } from "../lib/random.js";
import { createDiscovery } from "./discovery.js";
import { createKeyExchange, type ExchangeObserver } from "./exchange.js";
import { parseRaidaNumbers } from "./records.js";

/** Milliseconds that the DNS queries of one domain take at most. */
const DNS_DEADLINE = 5_000;

export interface KeyExchangeSettings {
  /** The folder that wallets must lie in; null refuses every wallet. */
  readonly wallets: string | null;
  /** DNS servers `ip[:port]`; none: the system's. */
  readonly resolvers: readonly string[];
  /** The file that numbers the RAIDA servers; null: DNS does. */
  readonly raida: string | null;
  readonly minShareBytes: number;
}

export interface KeyExchangeParts {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly randomBytes: RandomBytes;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly observer: ExchangeObserver;
  /** Gets a line for each line of a domain's records that means nothing. */
  readonly logger: Pick<Logger, "warn">;
}

/** The key exchange over DNS and UDP. Throws `invalid` if the file of numbers cannot be used. */
export function openKeyExchange(
  settings: KeyExchangeSettings,
  { now, randomBytes, random, observer, logger }: KeyExchangeParts,
): KeyExchange {
  const { wallets, resolvers, raida, minShareBytes } = settings;
  const discovery = createDiscovery({
    resolvers,
    raidaNumbers: raida === null ? null : readNumbers(raida),
    deadline: DNS_DEADLINE,
    random,
    onSkipped: (domain, line) => logger.warn({ domain, line }, "RKE record not understood"),
  });
  return createKeyExchange({
    discovery,
    wallets,
    minShareBytes,
    now,
    randomBytes,
    random,
    observer,
  });
}

function readNumbers(file: string): ReadonlyMap<string, number> {
  try {
    return parseRaidaNumbers(readFileSync(file, "utf8"));
  } catch (cause) {
    const reason = describeFault(cause);
    throw new LatchkeyError("invalid", `LATCHKEY_RKE_RAIDA ${file}: ${reason}`, { cause });
  }
}
