import { Counter, Gauge, type Registry } from "prom-client";
import type { WatchObserver } from "../services/watches/watches.js";
import type { CutReason } from "../transports/call/unread-answers.js";

/** What there is of watches at a time. */
export interface WatchCounts {
  readonly open: () => number;
  readonly caughtUp: () => number;
  readonly unreadBytes: () => number;
}

/** The metrics of watches, in the registry given. */
export function createWatchMetrics(registry: Registry) {
  const registers = [registry];
  let watches: WatchCounts = { open: () => 0, caughtUp: () => 0, unreadBytes: () => 0 };
  new Gauge({
    name: "latchkey_watch_open",
    help: "Watches that are open.",
    registers,
    collect() {
      this.set(watches.open());
    },
  });
  new Gauge({
    name: "latchkey_watch_watchers",
    help: "Watches that have caught up and go on.",
    registers,
    collect() {
      this.set(watches.caughtUp());
    },
  });
  new Gauge({
    name: "latchkey_watch_unread_bytes",
    help: "Memory that answers to watchers take until they are read.",
    registers,
    collect() {
      this.set(watches.unreadBytes());
    },
  });
  const sent = new Counter({
    name: "latchkey_watch_events_total",
    help: "Events sent to watchers; one that goes to several counts for each.",
    registers,
  });
  const dropped = new Counter({
    name: "latchkey_watch_dropped_total",
    help: "Watches ended because their watchers were slow, by what was too much: events that waited (behind), the time for which an answer did (unread), or the memory that others needed (memory).",
    labelNames: ["reason"],
    registers,
  });
  for (const reason of ["behind", "unread", "memory"]) dropped.inc({ reason }, 0);
  const watchObserver: WatchObserver & { cut(reason: CutReason): void } = {
    sent: (events) => sent.inc(events),
    dropped: () => dropped.inc({ reason: "behind" }),
    cut: (reason) => dropped.inc({ reason }),
  };
  return {
    watchObserver,
    /** Where what is known of watches is read from whenever the metrics are asked for. */
    watchWatches(source: WatchCounts) {
      watches = source;
    },
  };
}
