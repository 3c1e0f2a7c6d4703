import type { Socket } from "node:net";
import { networkOf, siteOf } from "../../lib/network.js";
import { acceptedSocket, peerOf } from "./peer.js";
import { createPlaceQueue } from "./place-queue.js";

export interface PlaceLimits {
  /** Connections in all. */
  readonly connections: number;
  /** Connections of one address; of IPv6, of one /64. */
  readonly perAddress: number;
}

type Limit = keyof PlaceLimits;

/** The listener that a connection came to. */
export type PlaceOwner = "grpc" | "http" | "command";

/** Connections of a listener, by whether their clients are known. */
export interface PlaceCount {
  readonly known: number;
  readonly unknown: number;
}

export interface PlaceObserver {
  /** A connection gave way or was refused, or a known client found no place. */
  limited(owner: PlaceOwner, limit: Limit): void;
  /** Gives where a listener's connections are counted. */
  watch(owner: PlaceOwner, count: () => PlaceCount): void;
}

/** The place of one connection. */
export interface Place {
  /** Sets how the connection ends when it has to give way; until then, it is cut. */
  onEvicted(end: (limit: Limit) => void): void;
  /**
   * Notes that the client is known, so that the connection gives way to nobody. Returns false, and
   * notes nothing, if clients that are known have all places that they may have.
   */
  settle(): boolean;
  /** Whether the client is known. */
  isSettled(): boolean;
  /** Notes that the client is known no more. Of all such connections it gives way last. */
  unsettle(): void;
}

interface Held extends Place {
  readonly socket: Socket;
  readonly owner: PlaceOwner;
  readonly network: string;
  readonly site: string;
  /** Bytes that had moved when it was looked at last. */
  moved: number;
  evict: (limit: Limit) => void;
}

export interface ConnectionPlacesOptions {
  readonly limits: PlaceLimits;
  /** Whether places are kept of each limit for clients that are not known yet, probes of health
   * among them. Then every new connection gets a place. */
  readonly hasReserve: boolean;
  /** Whether connections give way by how long nothing moved on them: where no client is ever known. */
  readonly byIdleness: boolean;
  /** Whether connections of this peer, an IP address or `unix:PATH`, are made for many clients. */
  readonly isShared: (ip: string) => boolean;
  /** Receives each connection that gave way or was refused, and each known client without a place. */
  readonly onLimit: (limit: Limit, owner: PlaceOwner, ip: string) => void;
}

export type ConnectionPlaces = ReturnType<typeof createConnectionPlaces>;

const MOST_RESERVE = 64;

/** Connections that are looked at for one that is idle; beyond them the first of these gives way. */
const MOST_LOOKS = 32;

/**
 * Gives connections their places. Where there is none, one whose client is not known gives way: the
 * longest so of the network that has the most of them, in the site (/24, /48) that has the most. So
 * a crowd from a few networks makes room by its own, and strangers keep nobody out. The new one is
 * refused where all clients are known.
 */
export function createConnectionPlaces(options: ConnectionPlacesOptions) {
  const { limits, hasReserve, byIdleness, isShared, onLimit } = options;
  const held = new Set<Held>();
  const perAddress = new Map<string, number>();
  const unsettled = createPlaceQueue<Held>();
  const bySocket = new WeakMap<Socket, Held>();

  const count = (network: string, change: number) => {
    const now = (perAddress.get(network) ?? 0) + change;
    if (now > 0) perAddress.set(network, now);
    else perAddress.delete(network);
  };

  const release = (place: Held) => {
    unsettled.remove(place);
    if (held.delete(place)) count(place.network, -1);
  };

  /** The limit that leaves no place where there are so many connections in all and of the address. */
  const limitOf = (ip: string, inAll: number, ofAddress: number, isKnown: boolean) => {
    const most = (limit: number) => (isKnown && hasReserve ? limit - reserveOf(limit) : limit);
    if (!isShared(ip) && ofAddress >= most(limits.perAddress)) return "perAddress";
    return inAll >= most(limits.connections) ? "connections" : null;
  };

  /** The one that gives way: in an address that has no room for more, or null for all. */
  const victimIn = (network: string | null): Held | undefined => {
    if (network === null && !byIdleness) return unsettled.firstOfMost();
    let looks = 0;
    for (const place of network === null ? unsettled.all() : unsettled.of(network)) {
      if (!byIdleness) return place;
      // Read only here, so that no call costs anything for it.
      const moved = place.socket.bytesRead + place.socket.bytesWritten;
      if (moved === place.moved || ++looks > MOST_LOOKS) return place;
      place.moved = moved;
      unsettled.add(place);
    }
    return undefined;
  };

  const open = (socket: Socket, owner: PlaceOwner, ip: string): Place => {
    const network = networkOf(ip);
    const place: Held = {
      ...{ socket, owner, network, site: siteOf(ip) },
      moved: 0,
      evict: () => socket.destroy(),
      onEvicted(end) {
        place.evict = end;
      },
      settle() {
        if (!unsettled.has(place)) return true;
        const known = held.size - unsettled.size();
        const ofAddress = (perAddress.get(network) ?? 0) - unsettled.of(network).size;
        const limit = limitOf(ip, known, ofAddress, true);
        if (limit) onLimit(limit, owner, ip);
        else unsettled.remove(place);
        return limit === null;
      },
      isSettled: () => !unsettled.has(place),
      unsettle() {
        if (held.has(place)) unsettled.add(place);
      },
    };
    count(network, 1);
    held.add(place);
    unsettled.add(place);
    bySocket.set(socket, place);
    socket.once("close", () => release(place));
    return place;
  };

  return {
    /** Returns a place for the connection until it closes, or the limit that leaves none. */
    admit(socket: Socket, owner: PlaceOwner): Place | Limit {
      const { ip } = peerOf(socket) ?? { ip: "" };
      const network = networkOf(ip);
      const limit = limitOf(ip, held.size, perAddress.get(network) ?? 0, false);
      if (limit) {
        onLimit(limit, owner, ip);
        const victim = victimIn(limit === "perAddress" ? network : null);
        if (!victim) return limit;
        release(victim);
        victim.evict(limit);
      }
      return open(socket, owner, ip);
    },

    /** The place of a connection, or of the one below its TLS; undefined if it has none. */
    placeOf: (socket: Socket): Place | undefined => bySocket.get(acceptedSocket(socket)),

    /** How many connections a listener has, by whether their clients are known. */
    count(owner: PlaceOwner): PlaceCount {
      const counts = { known: 0, unknown: 0 };
      for (const place of held) {
        if (place.owner === owner) counts[unsettled.has(place) ? "unknown" : "known"]++;
      }
      return counts;
    },
  };
}

/** Places of a limit that are kept for clients that are not known yet. */
function reserveOf(limit: number): number {
  return Math.min(MOST_RESERVE, Math.ceil(limit / 8));
}
