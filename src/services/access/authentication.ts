import { type Account, hashApiKey, type KeyHash } from "../../domain/accounts/account.js";
import type { AccountStore } from "../../domain/accounts/account-store.js";
import { LatchkeyError } from "../../domain/error.js";
import type { LineLog } from "../../lib/line-log.js";
import type { MaybePromise } from "../../lib/maybe-promise.js";
import type { Turn } from "../logins/fair-queue.js";
import type { Passwords } from "../logins/passwords.js";
import type { Attempt, Throttle } from "../logins/throttle.js";
import type { AccountIndex } from "./account-index.js";
import { readCredentials } from "./credentials.js";

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

/** Whom credentials name, or why nobody; `name` is what the caller gave, or the account's. */
type Found =
  | { readonly identity: Identity }
  | { readonly refusal: string; readonly name: string | undefined };

/** The same, and the hash that the password was checked against. */
type FoundByPassword =
  | { readonly identity: Identity; readonly hash: string }
  | Extract<Found, { readonly refusal: string }>;

export type Standing = "valid" | "credential ended" | "account ended";

export interface Authentication {
  /**
   * The caller that an `authorization` header names, `Bearer lk_…` or `Basic …`;
   * `address` is the peer's IP. A good Bearer answers at once, all else by a promise: before a
   * caller is refused, the accounts are looked at once more. Throws or rejects with
   * `unauthenticated` (unknown, wrong, disabled, expired: one message), or `limit` after too many
   * failures.
   */
  byHeader(header: string, address: string): MaybePromise<Identity>;

  /** As `byHeader`, by name and password. */
  byPassword(name: string, password: string, address: string): Promise<Identity>;

  /**
   * The account that a verified client certificate names by its subject common
   * name. Rejects with `unauthenticated` if there is none, or it is disabled.
   */
  byCertificate(commonName: string, address: string): MaybePromise<Identity>;

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
  readonly accountIndex: Pick<AccountIndex, "byName" | "byId" | "byKeyHash" | "lookAgain">;
  readonly store: Pick<AccountStore, "rehash" | "noteKeyUse">;
  readonly passwords: Passwords;
  readonly throttle: Throttle;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Gets a line for each failure and each login by password, never with a secret. */
  readonly logger: LineLog;
}

/** A key's use is noted at most once in this time (ms). */
const NOTE_INTERVAL = 60_000;

export function createAuthentication(options: AuthenticationOptions): Authentication {
  const { accountIndex, store, passwords, throttle, now, logger } = options;
  const noted = new Map<number, number>();
  const loggingIn = new Map<string, Promise<Identity>>();

  /** Logs a failure and answers what the caller gets to see. The name is logged only where it is
   * an account's: else it may be a password in the wrong place. */
  const failure = (reason: string, name: string | undefined, address: string) => {
    const account = name === undefined ? undefined : accountIndex.byName(name)?.account.name;
    logger.warn({ account, address, reason }, "authentication failed");
    return new LatchkeyError("unauthenticated", "these credentials are not valid");
  };

  /** Starts an attempt, or logs that it may not start and throws `limit`. */
  const begin = <T extends Attempt>(
    start: () => T,
    name: string | undefined,
    address: string,
  ): T => {
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
    store.noteKeyUse(keyId, at).catch((err) => logger.warn({ err, keyId }, "key use not noted"));
  };

  /** Whose the key is, or why it is nobody's. */
  const findByKey = (hash: KeyHash): Found => {
    const found = accountIndex.byKeyHash(hash);
    if (!found) return { refusal: "unknown key", name: undefined };
    const { account } = found.owner;
    const { id: keyId, expiresAt } = found.key;
    return judge({ account, keyId, expiresAt, passwordChanges: null });
  };

  const judge = (identity: Identity): Found => {
    const state = standing(identity);
    return state === "valid" ? { identity } : { refusal: state, name: identity.account.name };
  };

  const byKey = (key: string, address: string): MaybePromise<Identity> => {
    const hash = hashApiKey(key);
    const found = findByKey(hash);
    if ("identity" in found) {
      noteUse(found.identity);
      throttle.noteKnown(address, found.identity.account.name);
      return found.identity;
    }
    const attempt = begin(() => throttle.byAddress(address), found.name, address);
    return accountIndex.lookAgain().then(() => {
      const again = findByKey(hash);
      if ("refusal" in again) throw failure(again.refusal, again.name, address);
      attempt.abandoned();
      noteUse(again.identity);
      return again.identity;
    });
  };

  /** Whose name and password they are by the accounts at hand. */
  const findByPassword = async (
    name: string,
    password: string,
    turn: Turn,
  ): Promise<FoundByPassword> => {
    const found = accountIndex.byName(name);
    const hash = found?.passwordHash ?? null;
    const isRight = await passwords.verify(hash, password, turn);
    if (!found) return { refusal: "unknown account", name };
    if (hash === null) return { refusal: "no password", name };
    if (!isRight) return { refusal: "wrong password", name };
    const { account, passwordChanges } = found;
    // Judged after the check, during which the account may have changed.
    const judged = judge({ account, keyId: null, expiresAt: null, passwordChanges });
    return "identity" in judged ? { ...judged, hash } : judged;
  };

  /** The same, and once more if it is refused and the account changed meanwhile. */
  const findByLatestPassword = async (
    name: string,
    password: string,
    turn: Turn,
  ): Promise<FoundByPassword> => {
    const before = accountIndex.byName(name);
    const found = await findByPassword(name, password, turn);
    if ("identity" in found) return found;
    await accountIndex.lookAgain();
    const after = accountIndex.byName(name);
    const isSame =
      after?.passwordHash === before?.passwordHash &&
      after?.passwordChanges === before?.passwordChanges &&
      after?.account.enabled === before?.account.enabled;
    return isSame ? found : findByPassword(name, password, turn);
  };

  const logIn = async (name: string, password: string, address: string): Promise<Identity> => {
    const attempt = begin(() => throttle.byName(address, name), name, address);
    let found: FoundByPassword;
    try {
      found = await findByLatestPassword(name, password, attempt.turn);
    } catch (error) {
      attempt.abandoned();
      throw error;
    }
    if ("refusal" in found) throw failure(found.refusal, found.name, address);
    const { identity, hash } = found;
    attempt.succeeded();
    logger.info({ account: name, address }, "logged in by password");
    if (passwords.needsRehash(hash)) await rehash(identity.account, hash, password);
    return identity;
  };

  const rehash = async (account: Account, from: string, password: string) => {
    try {
      await store.rehash(account.id, from, await passwords.hash(password));
    } catch (err) {
      logger.warn({ err, account: account.name }, "password not hashed anew");
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
    const found = accountIndex.byId(account.id);
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
      const find = (): Found => {
        const account = accountIndex.byName(commonName)?.account;
        if (!account) return { refusal: "unknown account", name: commonName };
        return judge({ account, keyId: null, expiresAt: null, passwordChanges: null });
      };
      const found = find();
      if ("identity" in found) {
        throttle.noteKnown(address, commonName);
        return found.identity;
      }
      return accountIndex.lookAgain().then(() => {
        const again = find();
        if ("refusal" in again) throw failure(again.refusal, again.name, address);
        return again.identity;
      });
    },

    standing,
    noteUse,
  };
}
