import type { Socket } from "node:net";
import { networkOf, siteOf } from "../../domain/network.js";
import { peerOf } from "../peer.js";

export interface AdmissionLimits {
  /** Connections in all. */
  readonly connections: number;
  /** Connections from one address, of IPv6 from one /64. */
  readonly perAddress: number;
}

/** A connection that has a place. */
export interface Place {
  /** Says how the connection ends when it has to give way; until it is set, it is cut. */
  onEvicted(end: (reason: string) => void): void;
  /** Its AUTH was accepted: it gives way to nobody. */
  settle(): void;
}

interface Held extends Place {
  readonly network: string;
  readonly site: string;
  evict: (reason: string) => void;
}

export interface AdmissionOptions {
  readonly limits: AdmissionLimits;
  /** Told of each connection that was refused, or ended to make room, and why. */
  readonly onLimit: (reason: string, ip: string) => void;
}

/** Those of a site that have not settled: of each of its networks in the order in which they came. */
interface Site {
  size: number;
  readonly networks: Map<string, Set<Held>>;
}

/**
 * Gives connections their places. Where there is none, one whose AUTH was not accepted yet gives
 * way: the longest connected of the network that has the most of them, in the site (/24, /48) that
 * has the most. So a crowd from a few networks makes room by its own, and cuts nobody else while
 * its AUTH is checked. The new one is refused where all are authenticated.
 */
export function createAdmission({ limits, onLimit }: AdmissionOptions) {
  const held = new Set<Held>();
  const perAddress = new Map<string, number>();
  const unsettled = new Map<string, Site>();

  const unsettle = (place: Held) => {
    const site = unsettled.get(place.site) ?? { size: 0, networks: new Map() };
    const network = site.networks.get(place.network) ?? new Set();
    unsettled.set(place.site, site);
    site.networks.set(place.network, network.add(place));
    site.size++;
  };

  const settle = (place: Held) => {
    const site = unsettled.get(place.site);
    const network = site?.networks.get(place.network);
    if (!site || !network?.delete(place)) return;
    site.size--;
    if (network.size === 0) site.networks.delete(place.network);
    if (site.size === 0) unsettled.delete(place.site);
  };

  const release = (place: Held) => {
    settle(place);
    if (!held.delete(place)) return;
    const left = (perAddress.get(place.network) ?? 0) - 1;
    if (left > 0) perAddress.set(place.network, left);
    else perAddress.delete(place.network);
  };

  /** The one that gives way: in the address that has no room for more, or null for all. */
  const victimIn = (full: { network: string; site: string } | null): Held | undefined => {
    const site = full ? unsettled.get(full.site) : largest(unsettled.values());
    const [oldest] =
      (full ? site?.networks.get(full.network) : largest(site?.networks.values() ?? [])) ?? [];
    return oldest;
  };

  /** Why there is no place for one more of the address, or null after one was made. */
  const refusal = (ip: string, network: string, site: string): string | null => {
    const isAddressFull = (perAddress.get(network) ?? 0) >= limits.perAddress;
    if (!isAddressFull && held.size < limits.connections) return null;
    const reason = isAddressFull
      ? `LimitError: the server takes ${limits.perAddress} connections of one address`
      : `LimitError: the server takes ${limits.connections} connections`;
    onLimit(reason, ip);
    const victim = victimIn(isAddressFull ? { network, site } : null);
    if (!victim) return reason;
    release(victim);
    victim.evict(reason);
    return null;
  };

  return {
    /** A place for the connection until it closes, or why it has none. */
    admit(socket: Socket): Place | string {
      const { ip } = peerOf(socket) ?? { ip: "" };
      const network = networkOf(ip);
      const site = siteOf(ip);
      const reason = refusal(ip, network, site);
      if (reason !== null) return reason;
      const place: Held = {
        network,
        site,
        evict: () => socket.destroy(),
        onEvicted(end) {
          place.evict = end;
        },
        settle: () => settle(place),
      };
      held.add(place);
      unsettle(place);
      perAddress.set(network, (perAddress.get(network) ?? 0) + 1);
      socket.once("close", () => release(place));
      return place;
    },
  };
}

/** The one with the most in it, the first of equals. */
function largest<T extends { readonly size: number }>(all: Iterable<T>): T | undefined {
  let most: T | undefined;
  for (const one of all) if (most === undefined || one.size > most.size) most = one;
  return most;
}
