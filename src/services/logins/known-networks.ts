import { LRUCache } from "lru-cache";

/** Networks that are remembered of an account, the longest unused forgotten first. */
export const NETWORKS_OF_ACCOUNT = 32;

export interface KnownNetworksOptions {
  /** Accounts that are remembered, the longest unused forgotten first. */
  readonly accounts: number;
}

/**
 * The networks from which accounts were authenticated, since the process started. Only good
 * credentials add one, and of its own account alone: nobody can have another's forgotten.
 */
export function createKnownNetworks({ accounts: max }: KnownNetworksOptions) {
  const accounts = new LRUCache<string, LRUCache<string, true>>({ max });
  return {
    add(account: string, network: string) {
      const networks = accounts.get(account) ?? new LRUCache({ max: NETWORKS_OF_ACCOUNT });
      networks.set(network, true);
      accounts.set(account, networks);
    },
    has: (account: string, network: string) => accounts.get(account)?.get(network) === true,
  };
}
