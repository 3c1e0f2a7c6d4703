import { randomInt } from "node:crypto";
import type { AccountStore } from "../domain/accounts/account-store.js";
import type { Quotas } from "../domain/sessions/quotas.js";
import type { SessionStore, StoreObserver } from "../domain/sessions/session-store.js";
import { createMemoryStore } from "./memory/store.js";
import { type AccountStoreOptions, openAccountStore } from "./sqlite/accounts/store.js";
import type { WaitingLimits } from "./sqlite/commit/write-admission.js";
import { openSqliteStore } from "./sqlite/open.js";

/** Where sessions are kept. */
export type StoreLocation =
  | { readonly scheme: "memory" }
  | { readonly scheme: "sqlite"; readonly path: string };

export interface StoreOptions {
  readonly observer: StoreObserver;
  /** What may wait for the disk, callers' writes beyond it being refused; null: anything. */
  readonly waiting: WaitingLimits | null;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** About how much memory (bytes) the cache of sessions may take, where there is one. */
  readonly cacheBytes: number;
  /** What it keeps at most. */
  readonly quotas: Quotas;
  /** Told of every damaged part of the storage that something met: that fails, and nothing else. */
  readonly onDamage: (error: unknown) => void;
  /** Called once, if the storage fails so that only a restart is safe. */
  readonly onFatal: (error: unknown) => void;
}

/** Opens the accounts kept at `location`, for a server; null where none can be. */
export function openAccounts(
  location: StoreLocation,
  options: Pick<AccountStoreOptions, "actor" | "now">,
): AccountStore | null {
  switch (location.scheme) {
    case "memory":
      return null;
    case "sqlite":
      // Writes from here are notes of a key's use and new hashes: better late than held up.
      return openAccountStore({ ...options, path: location.path, busyTimeout: 100 });
  }
}

/** Opens the store at `location`; a new kind of store is a new row here. */
export function openStore(location: StoreLocation, options: StoreOptions): SessionStore {
  switch (location.scheme) {
    case "memory":
      return createMemoryStore(options.observer, {
        firstRevision: randomInt(2 ** 46),
        quotas: options.quotas,
      });
    case "sqlite":
      return openSqliteStore({ ...options, path: location.path });
  }
}
