/** What waits, and where it is from. */
export interface Queued {
  readonly network: string;
  readonly site: string;
}

const NONE: ReadonlySet<never> = new Set<never>();

/** The networks of a site that have any, and how many all have. */
interface Site<T> {
  size: number;
  readonly networks: Map<string, Set<T>>;
}

/** Keeps an order in all and in each network. */
export function createPlaceQueue<T extends Queued>() {
  const all = new Set<T>();
  const networks = new Map<string, Set<T>>();
  const sites = new Map<string, Site<T>>();

  const remove = (one: T): void => {
    if (!all.delete(one)) return;
    const { network, site } = one;
    const ofNetwork = networks.get(network);
    ofNetwork?.delete(one);
    const ofSite = sites.get(site);
    if (ofSite) ofSite.size--;
    if (ofNetwork?.size === 0) {
      networks.delete(network);
      ofSite?.networks.delete(network);
    }
    if (ofSite?.size === 0) sites.delete(site);
  };

  return {
    /** Puts one at the end; one that is there already, too. */
    add(one: T): void {
      remove(one);
      const { network, site } = one;
      const ofNetwork = networks.get(network) ?? new Set<T>();
      const ofSite = sites.get(site) ?? { size: 0, networks: new Map<string, Set<T>>() };
      networks.set(network, ofNetwork.add(one));
      ofSite.networks.set(network, ofNetwork);
      ofSite.size++;
      sites.set(site, ofSite);
      all.add(one);
    },
    remove,
    has: (one: T): boolean => all.has(one),
    size: (): number => all.size,
    all: (): ReadonlySet<T> => all,
    of: (network: string): ReadonlySet<T> => networks.get(network) ?? NONE,
    /** The first of the network that has the most, in the site that has the most. */
    firstOfMost(): T | undefined {
      const [first] = largest(largest(sites.values())?.networks.values() ?? []) ?? [];
      return first;
    },
  };
}

/** The one with the most in it, the first of equals. */
function largest<S extends { readonly size: number }>(sets: Iterable<S>): S | undefined {
  let most: S | undefined;
  for (const one of sets) if (most === undefined || one.size > most.size) most = one;
  return most;
}
