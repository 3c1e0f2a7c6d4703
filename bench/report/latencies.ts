import { createHistogram, type RecordableHistogram } from "node:perf_hooks";

/** Milliseconds, each exact to a thousandth of itself; all 0 if there was none. */
export interface Latencies {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

const MICROS = 1_000;
/** Microseconds that can be told from more: ten minutes. */
const HIGHEST = 600_000_000;

/** Counts latencies in a high dynamic range histogram (Node's own is one), whose size is fixed. */
export function createLatencies(figures: 2 | 3 = 3) {
  const histogram: RecordableHistogram = createHistogram({ lowest: 1, highest: HIGHEST, figures });
  return {
    record(millis: number): void {
      histogram.record(Math.min(HIGHEST, Math.max(1, Math.round(millis * MICROS))));
    },

    summary(): Latencies {
      const { count } = histogram;
      if (count === 0) return { count, p50: 0, p99: 0, p999: 0, max: 0 };
      const at = (percentile: number) => histogram.percentile(percentile) / MICROS;
      return { count, p50: at(50), p99: at(99), p999: at(99.9), max: histogram.max / MICROS };
    },
  };
}
