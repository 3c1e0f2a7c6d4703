import type { SessionStore, StoreObserver } from "../domain/session-store.js";
import { createMemoryStore } from "./memory/store.js";
import { openSqliteStore } from "./sqlite/open.js";

/** Where sessions are kept. */
export type StoreLocation =
  | { readonly scheme: "memory" }
  | { readonly scheme: "sqlite"; readonly path: string };

export interface StoreOptions {
  readonly observer: StoreObserver;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Called once, if the storage fails so that only a restart is safe. */
  readonly onFatal: (error: unknown) => void;
}

/** Opens the store at `location`; a new kind of store is a new row here. */
export function openStore(location: StoreLocation, options: StoreOptions): SessionStore {
  switch (location.scheme) {
    case "memory":
      return createMemoryStore(options.observer);
    case "sqlite":
      return openSqliteStore({ ...options, path: location.path });
  }
}
