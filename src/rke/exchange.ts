import { hash } from "node:crypto";
import { type DerivedKey, ExchangeError, type KeyExchange } from "../domain/rke/key-exchange.js";
import type { RandomBytes } from "../lib/random.js";
import { deriveKey } from "./derivation.js";
import type { Discovered, Discovery } from "./discovery.js";
import {
  CLIENT_SERIAL,
  type CoinName,
  makeRequest,
  parseResponse,
  REQUEST_NONCE,
  type Rejection,
  type ShareQuery,
} from "./packet.js";
import { collectShares, type RequestTiming, type ShareRequest } from "./share-requests.js";
import { AN, type Coin, withCoin } from "./wallet.js";
import { xor } from "./xor.js";

/** What became of one server's share in one exchange. */
export type ShareOutcome =
  /** Part of the key. */
  | "accepted"
  /** Of less than the least length. */
  | "too_short"
  /** Of another length than most. */
  | "odd_length"
  /** No answer that is one. */
  | "missing";

/** Told of what happens in exchanges; nothing that it is told is secret. */
export interface ExchangeObserver {
  /** Once for each server at the end of each exchange that asked it. */
  onShare(raida: number, outcome: ShareOutcome): void;
  /** For every datagram that is not taken. */
  onDropped(raida: number, reason: Rejection | "wrong_source"): void;
}

export interface KeyExchangeOptions {
  readonly discovery: Discovery;
  /** The folder that wallets lie in; null refuses every wallet. */
  readonly wallets: string | null;
  /** Bytes of the shortest share that is taken, at least 1. */
  readonly minShareBytes: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly randomBytes: RandomBytes;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly timing?: RequestTiming;
  readonly observer?: ExchangeObserver;
}

/** Three requests to a server that is silent, 1.6 s more for the slow where there are enough. */
const TIMING: RequestTiming = { retries: [800, 2_400], grace: 1_600, deadline: 5_000 };

/** A share request with what it is made of. */
type Keyed = ShareRequest & { readonly key: Buffer };

export function createKeyExchange(options: KeyExchangeOptions): KeyExchange {
  const { discovery, wallets, minShareBytes, now, randomBytes, random, observer } = options;
  const timing = options.timing ?? TIMING;

  /** The shares of the key set's servers by their numbers, each of at least one byte. */
  async function ask(found: Discovered, query: ShareQuery, walletPath: string, shares: Shares) {
    const requests: Keyed[] = [];
    try {
      await withCoin(wallets, walletPath, (coin) => {
        for (const server of found.servers) {
          requests.push(requestOf(server, coin, query, randomBytes));
        }
      });
      await collectShares(requests, shares, {
        timing,
        random,
        isEnough: (answered) =>
          agreeing(answered, minShareBytes).size >= found.contentServer.minRaidasRequired,
        onDropped: (raida, reason) => observer?.onDropped(raida, reason),
      });
    } finally {
      for (const { key } of requests) key.fill(0);
    }
  }

  function report(found: Discovered, shares: Shares, accepted: Shares): void {
    for (const { raida } of found.servers) {
      const share = shares.get(raida);
      const isShort = share && share.length < minShareBytes;
      const given = isShort ? "too_short" : share ? "odd_length" : "missing";
      observer?.onShare(raida, accepted.has(raida) ? "accepted" : given);
    }
  }

  async function agree(domain: string, walletPath: string, key: Buffer): Promise<DerivedKey> {
    const found = await discovery.lookUp(domain);
    const { csId, keyId } = found.keySet;
    const query: ShareQuery = {
      csId,
      keyId,
      clientSerial: Buffer.from(randomBytes(CLIENT_SERIAL)),
      time: Math.floor(now() / 1000),
    };
    const shares = new Map<number, Buffer>();
    try {
      await ask(found, query, walletPath, shares);
      const accepted = agreeing(shares, minShareBytes);
      report(found, shares, accepted);
      if (accepted.size < found.contentServer.minRaidasRequired) {
        throw tooFew(found, shares, accepted.size, minShareBytes);
      }
      const secret = xor([...accepted.values()]);
      try {
        deriveKey(secret, query, key);
      } finally {
        secret.fill(0);
      }
      return {
        csId,
        keyId,
        raidas: [...accepted.keys()].reduce((bitmap, raida) => bitmap | (1 << raida), 0),
        clientSerial: query.clientSerial.toString("hex"),
        time: query.time,
      };
    } finally {
      for (const share of shares.values()) share.fill(0);
    }
  }

  return {
    async discover(domain) {
      return (await discovery.lookUp(domain)).contentServer;
    },
    async exchange(domain, walletPath, key) {
      key.fill(0);
      try {
        return await agree(domain, walletPath, key);
      } catch (error) {
        key.fill(0);
        throw error;
      }
    },
  };
}

type Shares = Map<number, Buffer>;

/** The request to one server; its key is the caller's to zero. */
function requestOf(
  { raida, address, port }: Discovered["servers"][number],
  { denomination, serialNumber, ans }: Coin,
  query: ShareQuery,
  randomBytes: RandomBytes,
): Keyed {
  const coin: CoinName = { denomination, serialNumber };
  const header = { raida, coin, nonce: Buffer.from(randomBytes(REQUEST_NONCE)) };
  const key = hash("sha256", ans.subarray(raida * AN, (raida + 1) * AN), "buffer");
  return {
    raida,
    address,
    port,
    key,
    datagram: makeRequest(header, query, key),
    parse: (datagram) => parseResponse(datagram, header, key),
  };
}

/**
 * Those shares that a key can be made of: long enough, and of the length that most have, so that a
 * server whose share is of another length has no say. Of two such lengths, the greater.
 */
function agreeing(shares: ReadonlyMap<number, Buffer>, minShareBytes: number): Shares {
  const byLength = new Map<number, Shares>();
  for (const [raida, share] of shares) {
    if (share.length < minShareBytes) continue;
    const alike = byLength.get(share.length) ?? new Map();
    byLength.set(share.length, alike.set(raida, share));
  }
  const groups = [...byLength].sort(([a, x], [b, y]) => y.size - x.size || b - a);
  return groups[0]?.[1] ?? new Map();
}

/** Why there are only `accepted` shares: named as too short where longer ones would have sufficed. */
function tooFew(
  { servers, contentServer }: Discovered,
  shares: ReadonlyMap<number, Buffer>,
  accepted: number,
  minShareBytes: number,
): ExchangeError {
  const required = contentServer.minRaidasRequired;
  const short = [...shares.values()].filter(({ length }) => length < minShareBytes);
  if (accepted + short.length >= required) {
    const longest = Math.max(...short.map(({ length }) => length));
    return new ExchangeError(
      "share_too_short",
      `${short.length} of ${servers.length} RAIDA servers gave a share of at most ${longest} bytes: a key of shares with fewer than ${minShareBytes} bytes (LATCHKEY_RKE_MIN_SHARE_BYTES) can be guessed`,
    );
  }
  return new ExchangeError(
    "too_few_shares",
    `${accepted} of ${servers.length} RAIDA servers gave a share; ${required} are required`,
  );
}
