/** One key set of a Content Server. */
export interface KeySet {
  /** The set's number, 1 to 255. */
  readonly keyId: number;
  /** The Content Server's id: at most 16 characters. */
  readonly csId: string;
  /** How many RAIDA servers take part in it. */
  readonly serverCount: number;
}

/** What DNS tells of a Content Server. */
export interface ContentServer {
  readonly domain: string;
  readonly targetHost: string;
  readonly targetPort: number;
  /** The least number of shares that make a key. */
  readonly minRaidasRequired: number;
  readonly keySets: readonly KeySet[];
}

/** Every way in which an exchange fails, by the name that programs see. */
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
 * A failed exchange. Its message is written for the caller: how many of how many,
 * say; never a secret, never the name of another file.
 */
export class ExchangeError extends Error {
  readonly reason: ExchangeFailure;

  constructor(reason: ExchangeFailure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "ExchangeError";
    this.reason = reason;
  }
}

/** Finds Content Servers, and makes keys with them. */
export interface KeyExchange {
  /** What DNS tells of the domain's Content Server. Rejects with ExchangeError. */
  discover(domain: string): Promise<ContentServer>;

  /**
   * Makes a key with the domain's Content Server and writes its 32 bytes into `key`.
   * On any failure rejects with ExchangeError and leaves `key` zeroed.
   */
  exchange(
    domain: string,
    walletPath: string,
    key: Buffer,
  ): Promise<{ readonly csId: string; readonly keyId: number }>;
}
