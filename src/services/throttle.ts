import { LRUCache } from "lru-cache";
import { LatchkeyError } from "../domain/error.js";
import { networkOf } from "../domain/network.js";

/** So many failures (`burst`) at once, and from then on one in every `interval` (ms). */
interface Pace {
  readonly burst: number;
  readonly interval: number;
}

/** One account from one address: a person who mistypes; 2,880 guesses a day. */
const PAIR: Pace = { burst: 5, interval: 30_000 };
/** All accounts from one address, which a network of people may share. */
const ADDRESS: Pace = { burst: 30, interval: 3_000 };
/** One account from all addresses; beyond this it is under pressure. */
const ACCOUNT: Pace = { burst: 20, interval: 5_000 };
/** Under pressure, the least time (ms) between a failure and the next attempt from one address. */
const PRESSURE_WAIT = 5_000;

/** Entries of each kind that are remembered: some 10 MB each, the longest unused forgotten first. */
const MAX_ENTRIES = 50_000;

/** Letters of a name that tell accounts apart; a longer name is none (see checkAccountName). */
const NAME_LETTERS = 129;

export interface ThrottleOptions {
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  readonly maxEntries?: number;
}

/** An attempt to authenticate that may go on. It counts as failed unless one of these is called. */
export interface Attempt {
  /** It was right: it costs nothing, and this address is known to the account from here on. */
  succeeded(): void;
  /** It was not checked: it costs nothing. */
  abandoned(): void;
}

export type Throttle = ReturnType<typeof createThrottle>;

/**
 * Slows failed attempts to authenticate, by three rules:
 *
 * - An address that fails for an account waits before its next attempt for that account.
 * - An address that fails for many accounts waits before its next attempt for any.
 * - An account that fails from many addresses is under pressure: an address that failed for it
 *   waits a few seconds after each failure. One that did not fail is let through, so that
 *   nobody can lock an account out from elsewhere.
 *
 * An address from which the account was authenticated before is held to the first rule only, so
 * that others behind the same proxy do not slow its owner. An attempt that is refused costs
 * nothing, so no wait grows by trying.
 *
 * The longest wait is 30 s. IPv6 addresses count by their /64.
 */
export function createThrottle({ clock, maxEntries: max = MAX_ENTRIES }: ThrottleOptions) {
  const pairs = createMeter(PAIR, max);
  const addresses = createMeter(ADDRESS, max);
  const accounts = createMeter(ACCOUNT, max);
  const lastAttempts = new LRUCache<string, number>({ max });
  const known = new LRUCache<string, true>({ max });

  const attempt = (charges: readonly { meter: Meter; key: string }[], pair?: string): Attempt => {
    const now = clock();
    for (const { meter, key } of charges) meter.add(key, now);
    const abandoned = () => {
      for (const { meter, key } of charges) meter.remove(key);
    };
    return {
      abandoned,
      succeeded() {
        abandoned();
        if (pair !== undefined) known.set(pair, true);
      },
    };
  };

  return {
    /** An attempt that names no account. Throws `limit`, which says how long to wait. */
    byAddress(address: string): Attempt {
      const network = networkOf(address);
      refuseUntil(addresses.wait(network, clock()));
      return attempt([{ meter: addresses, key: network }]);
    },

    /** An attempt for the account of this name, be there one or not. Throws as `byAddress`. */
    byName(address: string, name: string): Attempt {
      const now = clock();
      const network = networkOf(address);
      const account = name.slice(0, NAME_LETTERS);
      const pair = `${network} ${account}`;
      refuseUntil(pairs.wait(pair, now));
      const charges = [{ meter: pairs, key: pair }];
      if (known.get(pair)) return attempt(charges, pair);

      refuseUntil(addresses.wait(network, now));
      if (accounts.wait(account, now) > 0) {
        refuseUntil((lastAttempts.get(pair) ?? Number.NEGATIVE_INFINITY) + PRESSURE_WAIT - now);
      }
      lastAttempts.set(pair, now);
      charges.push({ meter: addresses, key: network }, { meter: accounts, key: account });
      return attempt(charges, pair);
    },
  };
}

/** Throws `limit` if there is a wait (ms). */
function refuseUntil(wait: number): void {
  if (wait <= 0) return;
  const seconds = Math.ceil(wait / 1000);
  throw new LatchkeyError("limit", `too many failed attempts: try again in ${seconds} s`);
}

type Meter = ReturnType<typeof createMeter>;

/** Meters failures by key: each adds one, and one leaves in every interval; none holds more than the burst. */
function createMeter({ burst, interval }: Pace, max: number) {
  /** When a meter will be empty. One that is not here is. */
  const emptyAt = new LRUCache<string, number>({ max });
  const from = (key: string, now: number) => Math.max(now, emptyAt.get(key) ?? now);

  return {
    /** Milliseconds until there is room for one more; 0 or less if there is. */
    wait: (key: string, now: number) => from(key, now) - now - (burst - 1) * interval,
    add(key: string, now: number) {
      emptyAt.set(key, Math.min(from(key, now) + interval, now + burst * interval));
    },
    remove(key: string) {
      const at = emptyAt.get(key);
      if (at !== undefined) emptyAt.set(key, at - interval);
    },
  };
}
