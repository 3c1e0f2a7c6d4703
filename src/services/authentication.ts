import type { Logger } from "pino";
import { type Account, hashApiKey } from "../domain/account.js";
import type { AccountStore } from "../domain/account-store.js";
import type { Awaitable } from "../domain/awaitable.js";
import { LatchkeyError } from "../domain/error.js";
import { readCredentials } from "./credentials.js";
import type { Directory } from "./directory.js";
import type { Passwords } from "./passwords.js";
import type { Attempt, Throttle } from "./throttle.js";

/** Who was authenticated, and by what. */
export interface Identity {
  readonly account: Account;
  /** The API key it came by. */
  readonly keyId: number | null;
  /** The instant (ms since 1970) from which it holds no more; null: none is set. */
  readonly expiresAt: number | null;
  /** How often the account's password had been set when it came by it; null if it did not. */
  readonly passwordChanges: number | null;
}

export type Standing = "valid" | "credential ended" | "account ended";

export interface Authentication {
  /**
   * The caller that an `authorization` header names, `Bearer lk_…` or `Basic …`;
   * `address` is the peer's IP. Bearer answers at once, Basic by a promise. Throws
   * or rejects with `unauthenticated` (unknown, wrong, disabled, expired: one
   * message), or `limit` after too many failures.
   */
  byHeader(header: string, address: string): Awaitable<Identity>;

  /** As `byHeader`, by name and password. */
  byPassword(name: string, password: string, address: string): Promise<Identity>;

  /**
   * The account that a verified client certificate names by its subject common
   * name. Throws `unauthenticated` if there is none, or it is disabled.
   */
  byCertificate(commonName: string, address: string): Identity;

  /**
   * Whether an identity given earlier still holds. `credential ended`: its key
   * was revoked or expired, or its password set anew; `account ended`: the account
   * was disabled or removed.
   */
  standing(identity: Identity): Standing;

  /** Takes note that the API key of an identity given earlier was used again; never fails. */
  noteUse(identity: Identity): void;
}

export interface AuthenticationOptions {
  readonly directory: Pick<Directory, "byName" | "byId" | "byKeyHash">;
  readonly store: Pick<AccountStore, "rehash" | "noteKeyUse">;
  readonly passwords: Passwords;
  readonly throttle: Throttle;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Gets a line for each failure and each login by password, never with a secret. */
  readonly log: Pick<Logger, "info" | "warn">;
}

/** A key's use is noted at most once in this time (ms). */
const NOTE_INTERVAL = 60_000;

export function createAuthentication(options: AuthenticationOptions): Authentication {
  const { directory, store, passwords, throttle, now, log } = options;
  const noted = new Map<number, number>();
  const loggingIn = new Map<string, Promise<Identity>>();

  /** Logs a failure and answers what the caller gets to see. The name is logged only where it is
   * an account's: else it may be a password in the wrong place. */
  const failure = (reason: string, name: string | undefined, address: string) => {
    const account = name === undefined ? undefined : directory.byName(name)?.account.name;
    log.warn({ account, address, reason }, "authentication failed");
    return new LatchkeyError("unauthenticated", "these credentials are not valid");
  };

  /** Starts an attempt, or logs that it may not start and throws `limit`. */
  const begin = (start: () => Attempt, name: string | undefined, address: string): Attempt => {
    try {
      return start();
    } catch (error) {
      failure("slowed down", name, address);
      throw error;
    }
  };

  const noteUse = ({ keyId }: Identity) => {
    if (keyId === null) return;
    const at = now();
    if (at - (noted.get(keyId) ?? Number.NEGATIVE_INFINITY) < NOTE_INTERVAL) return;
    noted.set(keyId, at);
    store.noteKeyUse(keyId, at).catch((err) => log.warn({ err, keyId }, "key use not noted"));
  };

  const byKey = (key: string, address: string): Identity => {
    const found = directory.byKeyHash(hashApiKey(key));
    const identity = found && {
      account: found.owner.account,
      keyId: found.key.id,
      expiresAt: found.key.expiresAt,
      passwordChanges: null,
    };
    const state = identity ? standing(identity) : "unknown key";
    if (identity && state === "valid") {
      noteUse(identity);
      return identity;
    }
    const name = found?.owner.account.name;
    begin(() => throttle.byAddress(address), name, address);
    throw failure(state, name, address);
  };

  const logIn = async (name: string, password: string, address: string): Promise<Identity> => {
    const attempt = begin(() => throttle.byName(address, name), name, address);
    const found = directory.byName(name);
    const hash = found?.passwordHash ?? null;
    let isRight: boolean;
    try {
      isRight = await passwords.verify(hash, password);
    } catch (error) {
      attempt.abandoned();
      throw error;
    }
    if (!found) throw failure("unknown account", name, address);
    if (hash === null) throw failure("no password", name, address);
    if (!isRight) throw failure("wrong password", name, address);
    const { account, passwordChanges } = found;
    const identity = { account, keyId: null, expiresAt: null, passwordChanges };
    // Asked after the check, during which the account may have changed.
    const state = standing(identity);
    if (state !== "valid") throw failure(state, name, address);
    attempt.succeeded();
    log.info({ account: name, address }, "logged in by password");
    if (passwords.needsRehash(hash)) await rehash(account, hash, password);
    return identity;
  };

  const rehash = async (account: Account, from: string, password: string) => {
    try {
      await store.rehash(account.id, from, await passwords.hash(password));
    } catch (err) {
      log.warn({ err, account: account.name }, "password not hashed anew");
    }
  };

  const byPassword = (name: string, password: string, address: string): Promise<Identity> => {
    // A pool that opens all its connections at once costs one check and counts as one attempt.
    const login = hashApiKey(JSON.stringify([name, password, address]));
    const running = loggingIn.get(login);
    if (running) return running;
    const identity = logIn(name, password, address).finally(() => loggingIn.delete(login));
    loggingIn.set(login, identity);
    return identity;
  };

  const standing = ({ account, keyId, passwordChanges }: Identity): Standing => {
    const found = directory.byId(account.id);
    if (!found?.account.enabled) return "account ended";
    if (keyId !== null) {
      const key = found.keys.find(({ id }) => id === keyId);
      if (!key || (key.expiresAt !== null && key.expiresAt <= now())) return "credential ended";
    }
    if (passwordChanges !== null && passwordChanges !== found.passwordChanges) {
      return "credential ended";
    }
    return "valid";
  };

  return {
    byHeader(header, address) {
      const credentials = readCredentials(header);
      if (!credentials) {
        failure("malformed header", undefined, address);
        throw new LatchkeyError(
          "unauthenticated",
          "authorization must be Bearer and an API key, or Basic and a name and password",
        );
      }
      if ("key" in credentials) return byKey(credentials.key, address);
      return byPassword(credentials.name, credentials.password, address);
    },

    byPassword,

    byCertificate(commonName, address) {
      const found = directory.byName(commonName);
      if (!found) throw failure("unknown account", commonName, address);
      const { account } = found;
      const identity = { account, keyId: null, expiresAt: null, passwordChanges: null };
      const state = standing(identity);
      if (state !== "valid") throw failure(state, commonName, address);
      return identity;
    },

    standing,
    noteUse,
  };
}
