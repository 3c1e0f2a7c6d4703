import { hash } from "node:crypto";
import {
  type ContentServer,
  type DerivedKey,
  ExchangeError,
  type ExchangeFailure,
  type KeyExchange,
} from "../../../src/domain/rke/key-exchange.js";

/** Where the coin of the tests lies. */
export const WALLET = "/wallets/test";

export interface FakeExchange extends KeyExchange {
  /** Exchanges that were begun. */
  readonly begun: () => number;
  /** How the exchange of this number (the first is 1) with a domain ends: see `keyOf`. */
  keyOf(domain: string, number?: number): Buffer;
  /** From here on exchanges wait; what it answers lets those go on that wait. */
  hold(): () => void;
}

/** How it says that it derived its keys. */
export const DERIVED: DerivedKey = {
  csId: "EXAMPLE_SERVER",
  keyId: 1,
  raidas: 0x1ff_ffff,
  clientSerial: "0102030405",
  time: 2_000_000_000,
};

/** Content Servers of other ids than DERIVED's. */
const CS_IDS: ReadonlyMap<string, string> = new Map([["media.cloudcoin.global", "MEDIA_SERVER_1"]]);

const FAILURE = /^([a-z-]+)\.fails\.example$/;

/**
 * Makes keys without a network. The domain `too-few-shares.fails.example` fails for that
 * reason, and others likewise; `fault.fails.example` by a fault. A wallet other than
 * WALLET is refused as missing.
 */
export function createFakeExchange(): FakeExchange {
  const made = new Map<string, number>();
  let begun = 0;
  let gate = Promise.resolve();

  const keyOf = (domain: string, number = 1): Buffer =>
    hash("sha256", `the key ${number} of ${domain}`, "buffer");
  const failIfTold = (domain: string) => {
    const reason = FAILURE.exec(domain)?.[1]?.replaceAll("-", "_");
    if (reason === "fault") throw new Error("a fault inside");
    if (reason) throw new ExchangeError(reason as ExchangeFailure, `${domain}: ${reason}`);
  };

  return {
    begun: () => begun,
    keyOf,

    hold() {
      let release = () => {};
      gate = new Promise((resolve) => {
        release = resolve;
      });
      return release;
    },

    async discover(domain) {
      failIfTold(domain);
      const server: ContentServer = {
        domain,
        targetHost: `cs.${domain}`,
        targetPort: 9_999,
        minRaidasRequired: 13,
        keySets: [
          { keyId: 1, csId: "EXAMPLE_SERVER", serverCount: 25 },
          { keyId: 2, csId: "EXAMPLE_OTHER", serverCount: 20 },
        ],
      };
      return server;
    },

    async exchange(domain, walletPath, key) {
      begun++;
      await gate;
      // As a real one, it has written part of the key when it fails.
      key.fill(0xee);
      try {
        failIfTold(domain);
        if (walletPath !== WALLET) throw new ExchangeError("wallet_missing", "there is no wallet");
      } catch (error) {
        key.fill(0);
        throw error;
      }
      const number = (made.get(domain) ?? 0) + 1;
      made.set(domain, number);
      keyOf(domain, number).copy(key);
      return { ...DERIVED, csId: CS_IDS.get(domain) ?? DERIVED.csId };
    },
  };
}
