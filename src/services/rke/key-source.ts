import {
  ExchangeError,
  type ExchangeFailure,
  type KeyExchange,
} from "../../domain/rke/key-exchange.js";
import type { KeyOrigin, Keyring } from "../../domain/rke/keyring.js";

export interface KeySourceOptions {
  readonly keyring: Pick<Keyring, "recall" | "remember">;
  readonly exchange: KeyExchange;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Milliseconds that a key is kept for its domain; 0: not at all. */
  readonly cacheTtl: number;
  /** Told how each exchange ended, and how many seconds it took. */
  readonly exchanged: (outcome: "ok" | "fault" | ExchangeFailure, seconds: number) => void;
}

/** A key, as it was obtained. */
export interface ObtainedKey {
  readonly origin: KeyOrigin;
  /** Whether it was kept from an exchange before. */
  readonly fromCache: boolean;
}

interface Exchange {
  readonly walletPath: string;
  /** Where else the key is to be written. */
  readonly joined: Buffer[];
  readonly ended: Promise<KeyOrigin>;
}

/** Where sessions get their keys: kept ones, and exchanges, of which each domain has one at a time. */
export function createKeySource(options: KeySourceOptions) {
  const { keyring, exchange, now, clock, cacheTtl, exchanged } = options;
  const underWay = new Map<string, Exchange>();

  /** Measures an exchange, and makes its key everybody's who joined it. */
  const run = async (
    domain: string,
    walletPath: string,
    key: Buffer,
    joined: readonly Buffer[],
  ): Promise<KeyOrigin> => {
    const start = clock();
    const seconds = () => (clock() - start) / 1000;
    try {
      const derived = await exchange.exchange(domain, walletPath, key);
      exchanged("ok", seconds());
      const origin = { ...derived, domain, usage: { gcmMessages: 0 } };
      if (cacheTtl > 0) keyring.remember(origin, key, now() + cacheTtl);
      for (const other of joined) key.copy(other);
      return origin;
    } catch (error) {
      exchanged(error instanceof ExchangeError ? error.reason : "fault", seconds());
      throw error;
    } finally {
      underWay.delete(domain);
    }
  };

  const begin = (domain: string, walletPath: string, key: Buffer): Promise<KeyOrigin> => {
    const joined: Buffer[] = [];
    const ended = run(domain, walletPath, key, joined);
    underWay.set(domain, { walletPath, joined, ended });
    return ended;
  };

  return {
    /**
     * Writes a key of the domain into `key`. Rejects with what the exchange rejected with;
     * then what is in `key` must be zeroed.
     */
    async obtain(domain: string, walletPath: string, key: Buffer): Promise<ObtainedKey> {
      for (;;) {
        const kept = keyring.recall(domain, now(), key);
        if (kept) return { origin: kept, fromCache: true };
        const running = underWay.get(domain);
        if (!running) return { origin: await begin(domain, walletPath, key), fromCache: false };
        running.joined.push(key);
        try {
          return { origin: await running.ended, fromCache: false };
        } catch (error) {
          // Another's wallet is no reason to fail; then it is this one's turn.
          if (running.walletPath === walletPath) throw error;
        }
      }
    },
  };
}
