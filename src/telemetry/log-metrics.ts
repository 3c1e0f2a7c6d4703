import { Counter, type Registry } from "prom-client";

export interface LogObserver {
  /** A line with this message was left out, and counted for one to come. */
  leftOut(msg: string): void;
}

/** The metrics of the log, in the registry given. */
export function createLogMetrics(registry: Registry) {
  const registers = [registry];
  let lostLines = () => 0;
  new Counter({
    name: "latchkey_log_lost_lines_total",
    help: "Lines of the log that were lost: what reads them stalled, or could not be written to.",
    registers,
    collect() {
      this.reset();
      this.inc(lostLines());
    },
  });
  // Counted in plain numbers: the library looks labels up at every count.
  const leftOut = new Map<string, number>();
  new Counter({
    name: "latchkey_log_left_out_total",
    help: "What strangers cause again and again that had no line of its own, by the line's msg.",
    labelNames: ["msg"],
    registers,
    collect() {
      this.reset();
      for (const [msg, count] of leftOut) this.inc({ msg }, count);
    },
  });
  const logObserver: LogObserver = {
    leftOut: (msg) => void leftOut.set(msg, (leftOut.get(msg) ?? 0) + 1),
  };
  return {
    logObserver,
    /** Where the lost lines are read from whenever the metrics are asked for. */
    watchLog(source: () => number) {
      lostLines = source;
    },
  };
}
