import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { StoreObserver, StoreStats } from "../domain/sessions/session-store.js";
import { createCallMetrics } from "./call-metrics.js";
import { createConnectionMetrics } from "./connection-metrics.js";
import { createLogMetrics } from "./log-metrics.js";
import { createRkeMetrics } from "./rke-metrics.js";
import { createWatchMetrics } from "./watch-metrics.js";

export type Metrics = ReturnType<typeof createMetrics>;

/** The Prometheus metrics of one server, in a registry of its own. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  let stats: () => StoreStats = () => ({ sessions: 0, walBytes: 0, waitingWrites: 0 });
  collectDefaultMetrics({ register: registry });

  const callObserver = createCallMetrics(registry);
  const batches = new Histogram({
    name: "latchkey_store_commit_writes",
    help: "Writes that shared a commit; the count is the number of commits.",
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers,
  });
  const commits = new Histogram({
    name: "latchkey_store_commit_seconds",
    help: "Time that a commit took, its writes included.",
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
    registers,
  });
  const swept = new Counter({
    name: "latchkey_store_swept_total",
    help: "Expired sessions removed by the sweep.",
    registers,
  });
  new Gauge({
    name: "latchkey_store_sessions",
    help: "Sessions in the store, expired ones not yet swept included.",
    registers,
    collect() {
      this.set(stats().sessions);
    },
  });
  new Gauge({
    name: "latchkey_store_wal_bytes",
    help: "Size of the write-ahead log.",
    registers,
    collect() {
      this.set(stats().walBytes);
    },
  });

  new Gauge({
    name: "latchkey_store_waiting_writes",
    help: "Writes that are not on disk yet.",
    registers,
    collect() {
      this.set(stats().waitingWrites);
    },
  });

  const storeObserver: StoreObserver = {
    committed(writes, duration) {
      batches.observe(writes);
      commits.observe(duration);
    },
    swept: (sessions) => swept.inc(sessions),
  };

  return {
    callObserver,
    storeObserver,
    ...createConnectionMetrics(registry),
    ...createLogMetrics(registry),
    ...createRkeMetrics(registry),
    ...createWatchMetrics(registry),
    /** Where the store's gauges are read from whenever the metrics are asked for. */
    watchStore(source: () => StoreStats) {
      stats = source;
    },
    contentType: registry.contentType,
    /** The metrics in Prometheus' text format. */
    text: (): Promise<string> => registry.metrics(),
  };
}
