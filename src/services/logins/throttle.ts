import { LRUCache } from "lru-cache";
import { LatchkeyError } from "../../domain/error.js";
import { isIPv6Site, networkOf, siteOf } from "../../lib/network.js";
import type { Turn } from "./fair-queue.js";
import { createKnownNetworks } from "./known-networks.js";
import { createMeter, type Meter, type Pace } from "./meter.js";

/** One account from one address: a person who mistypes; 2,880 guesses a day. */
const PAIR: Pace = { burst: 5, interval: 30_000 };
/** All accounts from one address, which a network of people may share. */
const ADDRESS: Pace = { burst: 30, interval: 3_000 };
/** All accounts from one /48 of IPv6, which holds 65,536 addresses of that kind: 3,750 in an hour. */
const SITE: Pace = { burst: 150, interval: 1_000 };
/** One account from all addresses it is not known from: 38,000 in an hour. */
const ACCOUNT_IN_ALL: Pace = { burst: 2_000, interval: 100 };
/** One account from all addresses; beyond this it is under pressure. */
const ACCOUNT: Pace = { burst: 20, interval: 5_000 };
/** Under pressure, the least time (ms) between a failure and the next attempt from one address. */
const PRESSURE_WAIT = 5_000;

/** Entries of each kind that are remembered: some 10 MB each, the longest unused forgotten first. */
const MAX_ENTRIES = 50_000;
/** Accounts whose networks are remembered; more than one server has. */
const MAX_ACCOUNTS = 10_000;

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

/** An attempt by a password, whose check waits for its turn. */
export interface PasswordAttempt extends Attempt {
  readonly turn: Turn;
}

export type Throttle = ReturnType<typeof createThrottle>;

/**
 * Slows failed attempts to authenticate, by these rules:
 *
 * - An address that fails for an account waits before its next attempt for that account.
 * - An address that fails for many accounts waits before its next attempt for any, and so do all
 *   addresses of an IPv6 /48 together.
 * - An account that fails from many addresses is under pressure: an address that failed for it
 *   waits a few seconds after each failure. One that did not fail is let through, so that
 *   few addresses cannot lock an account out from elsewhere.
 * - An account for which hundreds of addresses fail takes ten failures a second of them all.
 *
 * An address from which the account was authenticated before is held to the first rule only, so
 * that nobody elsewhere, and nobody else behind the same proxy, slows its owner. An attempt that is
 * refused costs nothing, so no wait grows by trying.
 *
 * The longest wait is 30 s. IPv6 addresses count by their /64.
 */
export function createThrottle({ clock, maxEntries: max = MAX_ENTRIES }: ThrottleOptions) {
  const pairs = createMeter(PAIR, max);
  const addresses = createMeter(ADDRESS, max);
  const sites = createMeter(SITE, max);
  const accounts = createMeter(ACCOUNT, max);
  const accountsInAll = createMeter(ACCOUNT_IN_ALL, max);
  const lastAttempts = new LRUCache<string, number>({ max });
  const known = createKnownNetworks({ accounts: Math.min(max, MAX_ACCOUNTS) });

  /** Those that meter an address for any account. */
  const chargesOf = (network: string, site: string): Charge[] => {
    const charges = [{ meter: addresses, key: network }];
    return isIPv6Site(site) ? [...charges, { meter: sites, key: site }] : charges;
  };

  /** Throws `limit` if one of these has no room, else adds to each; answers what takes that back. */
  const charge = (charges: readonly Charge[], now: number) => {
    for (const { meter, key } of charges) refuseUntil(meter.wait(key, now));
    for (const { meter, key } of charges) meter.add(key, now);
    return () => {
      for (const { meter, key } of charges) meter.remove(key, clock());
    };
  };

  return {
    /** An attempt that names no account. Throws `limit`, which says how long to wait. */
    byAddress(address: string): Attempt {
      const release = charge(chargesOf(networkOf(address), siteOf(address)), clock());
      return { abandoned: release, succeeded: release };
    },

    /** An attempt for the account of this name, be there one or not. Throws as `byAddress`. */
    byName(address: string, name: string): PasswordAttempt {
      const now = clock();
      const network = networkOf(address);
      const site = siteOf(address);
      const account = name.slice(0, NAME_LETTERS);
      const pair = `${network} ${account}`;
      const own = { meter: pairs, key: pair };
      if (known.has(account, network)) {
        const release = charge([own], now);
        // By account first, so that one that logs in from many networks gets no more than another.
        const turn = { isKnown: true, groups: [account, network] };
        return { turn, abandoned: release, succeeded: release };
      }
      refuseUntil(pairs.wait(pair, now));
      const last = lastAttempts.get(pair);
      if (accounts.wait(account, now) > 0) {
        refuseUntil((last ?? Number.NEGATIVE_INFINITY) + PRESSURE_WAIT - now);
      }
      const inAll = { meter: accountsInAll, key: account };
      const release = charge([own, inAll, ...chargesOf(network, site)], now);
      accounts.add(account, now);
      lastAttempts.set(pair, now);
      const abandoned = () => {
        release();
        accounts.remove(account, clock());
        if (lastAttempts.get(pair) !== now) return;
        if (last === undefined) lastAttempts.delete(pair);
        else lastAttempts.set(pair, last);
      };
      return {
        // Who names many accounts gets no more turns than who names one.
        turn: { isKnown: false, groups: [site, network, account] },
        abandoned,
        succeeded() {
          abandoned();
          known.add(account, network);
        },
      };
    },

    /** Takes note that the account was authenticated from the address by other credentials. */
    noteKnown(address: string, account: string) {
      known.add(account, networkOf(address));
    },

    /** Entries that are remembered, at most the number given for each kind. */
    sizes: () => [
      ...[pairs, addresses, sites, accounts, accountsInAll].map((meter) => meter.size()),
      lastAttempts.size,
    ],
  };
}

/** What an attempt adds a failure to. */
interface Charge {
  readonly meter: Meter;
  readonly key: string;
}

/** Throws `limit` if there is a wait (ms). */
function refuseUntil(wait: number): void {
  if (wait <= 0) return;
  const seconds = Math.ceil(wait / 1000);
  throw new LatchkeyError("limit", `too many failed attempts: try again in ${seconds} s`);
}
