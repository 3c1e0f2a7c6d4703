import type { KeyHash } from "../../domain/accounts/account.js";
import type {
  AccountChange,
  AccountSnapshot,
  AccountStore,
  StoredAccount,
  StoredKey,
} from "../../domain/accounts/account-store.js";

/** Milliseconds between looks at the store: a change is heeded well within a second. */
const INTERVAL = 250;

/** The least time (ms) between two looks that callers ask for, however many there are. */
const LOOK_PAUSE = 20;

export interface AccountIndexOptions {
  readonly store: Pick<AccountStore, "load" | "version" | "changesSince">;
  /** Milliseconds since 1970, to tell when a key expires. */
  readonly now: () => number;
  /** Called after accounts changed, with what changed since the call before, and after a key expired. */
  readonly onChange: (changes: readonly AccountChange[]) => void;
  /** Told of the first of several failures in a row to look at the store. */
  readonly onError: (error: unknown) => void;
  readonly interval?: number;
}

/** All accounts in memory, as the store had them a moment ago. */
export interface AccountIndex {
  byName(name: string): StoredAccount | undefined;
  byId(id: number): StoredAccount | undefined;
  byKeyHash(hash: KeyHash): { readonly owner: StoredAccount; readonly key: StoredKey } | undefined;
  /** Sees every change that was made before the call. Rejects as the store does. */
  refresh(): Promise<void>;
  /**
   * As `refresh`, for a caller that nobody knows, so that a key or a password is good as soon as
   * it is set. All that ask within a while share one look. Never rejects: while the store fails,
   * what was read last stays in use.
   */
  lookAgain(): Promise<void>;
  /** Looks at the store no more. */
  stop(): void;
}

/**
 * Reads all accounts and then, from time to time, those that any process
 * changed. While the store fails, the accounts read last stay in use. Rejects
 * as the store does if they cannot be read at first.
 */
export async function createAccountIndex(options: AccountIndexOptions): Promise<AccountIndex> {
  const { store, now, interval = INTERVAL } = options;
  let index = indexOf(await store.load());
  let checkedAt = now();
  let refreshing: Promise<void> = Promise.resolve();
  let isFailing = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;

  const look = async () => {
    const before = index;
    let changes: readonly AccountChange[] = [];
    if ((await store.version()) !== before.version) {
      const after = await store.load();
      // Read before the new accounts are taken: who fails here is told of these changes later.
      changes = await store.changesSince(before.version, after.version);
      index = indexOf(after);
    }
    const since = checkedAt;
    checkedAt = now();
    const hasExpired = index.expiries.some((at) => since < at && at <= checkedAt);
    if (!stopped && (index !== before || hasExpired)) options.onChange(changes);
  };
  const refresh = (): Promise<void> => {
    // In turn, so that no older state replaces a newer one.
    refreshing = refreshing.catch(() => undefined).then(look);
    return refreshing;
  };
  let rested: Promise<void> = Promise.resolve();
  let nextLook: Promise<void> | undefined;
  const lookAgain = (): Promise<void> => {
    nextLook ??= rested.then(async () => {
      nextLook = undefined;
      rested = new Promise((resolve) => void setTimeout(resolve, LOOK_PAUSE));
      // `poll` tells of failures.
      if (!stopped) await refresh().catch(() => undefined);
    });
    return nextLook;
  };
  const poll = async () => {
    try {
      await refresh();
      isFailing = false;
    } catch (error) {
      if (!isFailing && !stopped) options.onError(error);
      isFailing = true;
    }
    if (!stopped) schedule();
  };
  const schedule = () => {
    timer = setTimeout(poll, interval).unref();
  };
  schedule();

  return {
    byName: (name) => index.byName.get(name),
    byId: (id) => index.byId.get(id),
    byKeyHash: (hash) => index.byKeyHash.get(hash),
    refresh,
    lookAgain,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

function indexOf({ version, accounts }: AccountSnapshot) {
  const keys = accounts.flatMap((owner) => owner.keys.map((key) => ({ owner, key })));
  return {
    version,
    byName: new Map(accounts.map((stored) => [stored.account.name, stored])),
    byId: new Map(accounts.map((stored) => [stored.account.id, stored])),
    byKeyHash: new Map(keys.map((entry) => [entry.key.hash, entry])),
    expiries: keys.flatMap(({ key }) => (key.expiresAt === null ? [] : [key.expiresAt])),
  };
}
