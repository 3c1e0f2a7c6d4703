import type { Account, ApiKey, KeyHash } from "./account.js";

/** What an account is made of. */
export type NewAccount = Pick<Account, "name" | "role" | "apps" | "rke">;

/** What an API key is made of. */
export interface NewKey extends Pick<ApiKey, "label" | "createdAt" | "expiresAt"> {
  readonly hash: KeyHash;
}

/** An account with all that proves who it is, none of which can be turned back into a secret. */
export interface StoredAccount {
  readonly account: Account;
  /** As `Passwords.hash` made it; null: it has no password. */
  readonly passwordHash: string | null;
  /** How often its password was set. A new hash of the same password does not count. */
  readonly passwordChanges: number;
  /** In the order of creation. */
  readonly keys: readonly StoredKey[];
}

export interface StoredKey extends ApiKey {
  readonly hash: KeyHash;
}

/** One change of an account or its keys, and who made it. */
export interface AccountChange {
  /** When: milliseconds since 1970. */
  readonly at: number;
  /** The process that made it, as it named itself when it opened the store. */
  readonly actor: string;
  /** The account's name. */
  readonly account: string;
  readonly change:
    | "added"
    | "removed"
    | "enabled"
    | "disabled"
    | "password set"
    | "key added"
    | "key revoked";
  /** Which key it was, if it was one. */
  readonly keyId?: number;
}

/** One consistent state of all accounts. */
export interface AccountSnapshot {
  /** What `version` answered of this state. */
  readonly version: number;
  /** In the order of creation. */
  readonly accounts: readonly StoredAccount[];
}

/**
 * Keeps accounts, for several processes at once: a server, and command lines
 * beside it. Takes and gives what has been checked (see account.ts).
 *
 * A promise resolves when the effect is durable, and from then on every process
 * sees it. Every method is atomic. Failures of the storage reject with
 * `unavailable`; no method but `close` throws.
 */
export interface AccountStore {
  load(): Promise<AccountSnapshot>;

  /** A number that is higher after every change that any process makes; cheap enough to ask often. */
  version(): Promise<number>;

  /**
   * What any process changed after the state of one version, up to that of another, the first
   * change first. Changes before the last 1,000 are forgotten. A new hash of an unchanged password
   * makes a version, but is not told here.
   */
  changesSince(version: number, upTo: number): Promise<AccountChange[]>;

  /** Adds an enabled account; rejects with `exists` if the name is taken, with `limit` if
   * there are as many as may be. */
  add(account: NewAccount, passwordHash: string | null): Promise<Account>;

  // Those that name an account reject with `not_found` if there is none of that name.

  /** No change is made, or told, if the account is so already. */
  setEnabled(name: string, enabled: boolean): Promise<void>;

  setPassword(name: string, passwordHash: string): Promise<void>;

  /** Removes the account and its keys. */
  remove(name: string): Promise<void>;

  addKey(name: string, key: NewKey): Promise<ApiKey>;

  /** Ends a key of the account for good; `not_found` too if it has no such key. */
  revokeKey(name: string, keyId: number): Promise<void>;

  /** Replaces the hash of an unchanged password; false, and nothing done, if it is not `from` any more. */
  rehash(accountId: number, from: string, to: string): Promise<boolean>;

  /** Notes when (ms since 1970) a key was used last; does nothing if there is no such key. Never
   * waits for the disk: a crash may lose it. */
  noteKeyUse(keyId: number, at: number): Promise<void>;

  /** Releases everything. May be called again. */
  close(): void;
}
