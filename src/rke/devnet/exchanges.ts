import type { ShareQuery } from "../packet.js";

/** One exchange as the RAIDA servers saw it. */
export interface Exchange extends ShareQuery {
  /** The RAIDA servers that gave a share, in the order in which they first did. */
  readonly raidas: readonly number[];
}

export interface ExchangeLog {
  /** Notes that the server with this number gave the share that was asked for. */
  add(query: ShareQuery, raida: number): void;
  /** Those that are remembered, the one that began last first. */
  recent(): readonly Exchange[];
}

/** Remembers the last exchanges, so many at most. */
export function createExchangeLog(limit: number): ExchangeLog {
  // In the order in which they began.
  const exchanges = new Map<string, { query: ShareQuery; raidas: Set<number> }>();
  return {
    add(query, raida) {
      const { csId, keyId, clientSerial, time } = query;
      const id = [csId, keyId, clientSerial.toString("hex"), time].join(" ");
      const known = exchanges.get(id);
      if (known) {
        known.raidas.add(raida);
        return;
      }
      const [oldest] = exchanges.keys();
      if (oldest !== undefined && exchanges.size >= limit) exchanges.delete(oldest);
      // Copied: what was read from a datagram is a view of it.
      const copy = { csId, keyId, clientSerial: Buffer.from(clientSerial), time };
      exchanges.set(id, { query: copy, raidas: new Set([raida]) });
    },
    recent: () =>
      [...exchanges.values()].reverse().map(({ query, raidas }) => ({
        ...query,
        raidas: [...raidas],
      })),
  };
}
