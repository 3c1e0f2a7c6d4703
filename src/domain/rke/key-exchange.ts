/** One group of RAIDA servers that hold shares for a Content Server. */
export interface KeySet {
  /** Its number, a byte. */
  readonly keyId: number;
  /** Id of the Content Server that it belongs to: 1 to 16 characters of visible ASCII. */
  readonly csId: string;
  /** How many RAIDA servers take part in it. */
  readonly serverCount: number;
}

/** What DNS says about the Content Server of a domain. */
export interface ContentServer {
  readonly domain: string;
  /** Host name of the Content Server, without the dot at its end. */
  readonly targetHost: string;
  readonly targetPort: number;
  /** The least number of shares that a key is made of, 1 to 25. */
  readonly minRaidasRequired: number;
  /** By number; at least one has the servers that are required. */
  readonly keySets: readonly KeySet[];
}

/** Every way in which an exchange fails: the reason that callers see. */
export type ExchangeFailure =
  | "no_such_domain"
  | "no_srv"
  | "no_txt"
  | "no_usable_key_set"
  | "wallet_missing"
  | "wallet_empty"
  | "wallet_unreadable"
  | "wallet_refused"
  | "too_few_shares"
  | "share_too_short"
  | "dns_failed";

/**
 * Why there is no key. Its message is written for the caller: what was wrong and
 * what would be right, never a secret and never the name of a file that the caller did not give.
 */
export class ExchangeError extends Error {
  readonly reason: ExchangeFailure;

  constructor(reason: ExchangeFailure, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = "ExchangeError";
    this.reason = reason;
  }
}

/**
 * What a key was derived from, beside the shares themselves. The last three are what the Content
 * Server has to be told to derive the same key; none of it is secret.
 */
export interface DerivedKey {
  readonly csId: string;
  readonly keyId: number;
  /** The RAIDA servers that took part: bit i stands for number i, 0 to 24. */
  readonly raidas: number;
  /** The client serial, 10 hexadecimal characters. */
  readonly clientSerial: string;
  /** The time of the exchange, in seconds since 1970. */
  readonly time: number;
}

export interface KeyExchange {
  /** What DNS says about the domain's Content Server. Throws `ExchangeError`. */
  discover(domain: string): Promise<ContentServer>;
  /**
   * Agrees on a key with the domain's Content Server, proved by a coin of the wallet, and writes
   * its 32 bytes into `key`. On any failure it throws (`ExchangeError` for those of that type) and
   * leaves `key` zeroed. Calls for one domain at once make an exchange each.
   */
  exchange(domain: string, walletPath: string, key: Buffer): Promise<DerivedKey>;
}
