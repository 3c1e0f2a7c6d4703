import type { Socket } from "node:net";
import { peerOf } from "../peer.js";

export interface AdmissionLimits {
  /** Connections in all. */
  readonly connections: number;
  /** Connections from one address. */
  readonly perAddress: number;
}

/** A connection that has a place. */
export interface Place {
  /** Says how the connection ends when it has to give way; until it is set, it is cut. */
  onEvicted(end: (reason: string) => void): void;
  /** Its client has sent its AUTH: it gives way to nobody, and ends if that is refused. */
  settle(): void;
}

interface Held extends Place {
  readonly ip: string;
  evict: (reason: string) => void;
}

export interface AdmissionOptions {
  readonly limits: AdmissionLimits;
  /** Told of each connection that was refused, or ended to make room, and why. */
  readonly onLimit: (reason: string, ip: string) => void;
}

/**
 * Gives connections their places. Where there is none, the longest connected that has not
 * sent its AUTH gives way, so that silent ones keep nobody out; the new one is refused where all
 * have.
 */
export function createAdmission({ limits, onLimit }: AdmissionOptions) {
  const held = new Set<Held>();
  const perAddress = new Map<string, number>();
  /** In the order in which they came. */
  const unsettled = new Set<Held>();

  const release = (place: Held) => {
    unsettled.delete(place);
    if (!held.delete(place)) return;
    const left = (perAddress.get(place.ip) ?? 0) - 1;
    if (left > 0) perAddress.set(place.ip, left);
    else perAddress.delete(place.ip);
  };

  const oldestUnsettled = (ip: string | null): Held | undefined => {
    for (const place of unsettled) if (ip === null || place.ip === ip) return place;
    return undefined;
  };

  /** Why there is no place for one more of the address, or null after one was made. */
  const refusal = (ip: string): string | null => {
    const isAddressFull = (perAddress.get(ip) ?? 0) >= limits.perAddress;
    if (!isAddressFull && held.size < limits.connections) return null;
    const reason = isAddressFull
      ? `LimitError: the server takes ${limits.perAddress} connections of one address`
      : `LimitError: the server takes ${limits.connections} connections`;
    onLimit(reason, ip);
    const victim = oldestUnsettled(isAddressFull ? ip : null);
    if (!victim) return reason;
    release(victim);
    victim.evict(reason);
    return null;
  };

  return {
    /** A place for the connection until it closes, or why it has none. */
    admit(socket: Socket): Place | string {
      const { ip } = peerOf(socket) ?? { ip: "" };
      const reason = refusal(ip);
      if (reason !== null) return reason;
      const place: Held = {
        ip,
        evict: () => socket.destroy(),
        onEvicted(end) {
          place.evict = end;
        },
        settle: () => void unsettled.delete(place),
      };
      held.add(place);
      unsettled.add(place);
      perAddress.set(ip, (perAddress.get(ip) ?? 0) + 1);
      socket.once("close", () => release(place));
      return place;
    },
  };
}
