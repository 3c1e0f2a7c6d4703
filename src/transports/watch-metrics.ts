import { Counter, Gauge, type Registry } from "prom-client";
import type { WatchObserver } from "../services/watches.js";

/** The metrics of watches, in the registry given. */
export function createWatchMetrics(registry: Registry) {
  const registers = [registry];
  let watchers = () => 0;
  new Gauge({
    name: "latchkey_watch_watchers",
    help: "Watches that have caught up and go on.",
    registers,
    collect() {
      this.set(watchers());
    },
  });
  const sent = new Counter({
    name: "latchkey_watch_events_total",
    help: "Events sent to watchers; one that goes to several counts for each.",
    registers,
  });
  const dropped = new Counter({
    name: "latchkey_watch_dropped_total",
    help: "Watches ended because their watchers were slow.",
    registers,
  });
  const watchObserver: WatchObserver = {
    sent: (events) => sent.inc(events),
    dropped: () => dropped.inc(),
  };
  return {
    watchObserver,
    /** Where the number of watches is read from whenever the metrics are asked for. */
    watchWatchers(source: () => number) {
      watchers = source;
    },
  };
}
