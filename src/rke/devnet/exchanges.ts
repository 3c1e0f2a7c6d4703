import type { DerivedKey } from "../../domain/rke/key-exchange.js";
import type { ShareQuery } from "../packet.js";

/** One exchange as the RAIDA servers saw it. */
export interface Exchange extends Omit<DerivedKey, "raidas"> {
  /** The numbers of the RAIDA servers that gave a share, in the order in which they first did. */
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
  // In the order in which they began; those who gave a share too.
  const exchanges = new Map<string, Omit<Exchange, "raidas"> & { raidas: Set<number> }>();
  return {
    add(query, raida) {
      const { csId, keyId, time } = query;
      const clientSerial = query.clientSerial.toString("hex");
      const id = [csId, keyId, clientSerial, time].join(" ");
      const known = exchanges.get(id);
      if (known) {
        known.raidas.add(raida);
        return;
      }
      const [oldest] = exchanges.keys();
      if (oldest !== undefined && exchanges.size >= limit) exchanges.delete(oldest);
      exchanges.set(id, { csId, keyId, clientSerial, time, raidas: new Set([raida]) });
    },
    recent: () =>
      [...exchanges.values()]
        .reverse()
        .map((exchange) => ({ ...exchange, raidas: [...exchange.raidas] })),
  };
}
