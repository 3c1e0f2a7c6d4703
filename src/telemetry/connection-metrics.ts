import { Counter, Gauge, type Registry } from "prom-client";
import type { PlaceCount, PlaceObserver, PlaceOwner } from "../transports/net/connection-places.js";

/** The metrics of connections, in the registry given. */
export function createConnectionMetrics(registry: Registry) {
  const registers = [registry];
  const counts = new Map<PlaceOwner, () => PlaceCount>();
  new Gauge({
    name: "latchkey_connections",
    help: "Open connections, by listener, and by whether they have shown good credentials.",
    labelNames: ["listener", "caller"],
    registers,
    collect() {
      for (const [listener, count] of counts) {
        const { known, unknown } = count();
        this.set({ listener, caller: "known" }, known);
        this.set({ listener, caller: "unknown" }, unknown);
      }
    },
  });
  const limited = new Counter({
    name: "latchkey_connections_limited_total",
    help: "Connections that gave way or were refused, by listener and by the limit that was met.",
    labelNames: ["listener", "limit"],
    registers,
  });
  const placeObserver: PlaceObserver = {
    limited: (listener, limit) =>
      limited.inc({ listener, limit: limit === "perAddress" ? "per_address" : limit }),
    watch: (listener, count) => void counts.set(listener, count),
  };
  return { placeObserver };
}
