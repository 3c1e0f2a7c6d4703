import type { Metric, Registry } from "prom-client";
import type { Bottleneck, CallObserver, Transport } from "../transports/call/calls.js";

/** Upper bounds of the latency histogram's buckets, in seconds. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** What was counted of one method on one wire. */
interface Series {
  readonly labels: { readonly transport: string; readonly method: string };
  /** Calls by code. */
  readonly calls: Map<string, number>;
  /** Calls by bucket, those over the last bound at the end; not cumulative. */
  readonly buckets: number[];
  seconds: number;
}

interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/**
 * Counts calls and their latencies, and adds both to the registry. The library's
 * own counters look their labels up anew at every call, which costs more than
 * the read of a cached session.
 */
export function createCallMetrics(registry: Registry): CallObserver {
  const series: Series[] = [];
  const refused = new Map<string, Sample>();

  register(registry, "counter", {
    name: "latchkey_calls_total",
    help: "Calls that ended, by wire, method and code.",
    samples: () =>
      series.flatMap(({ labels, calls }) =>
        [...calls].map(([code, value]) => ({
          labels: { ...labels, code: code.toUpperCase() },
          value,
        })),
      ),
  });
  register(registry, "histogram", {
    name: "latchkey_call_seconds",
    help: "Time from a call's request to its answer, by wire and method.",
    samples: () => series.filter(({ calls }) => calls.size > 0).flatMap(histogramSamples),
  });

  register(registry, "counter", {
    name: "latchkey_refused_total",
    help: "Calls refused because the server is overloaded, by wire and by what had no time for them.",
    samples: () => [...refused.values()],
  });

  return {
    refused(transport: Transport, reason: Bottleneck) {
      const key = `${transport} ${reason}`;
      const value = (refused.get(key)?.value ?? 0) + 1;
      refused.set(key, { labels: { transport, reason }, value });
    },
    watch(transport, method) {
      const buckets = new Array<number>(BUCKETS.length + 1).fill(0);
      const one: Series = { labels: { transport, method }, calls: new Map(), buckets, seconds: 0 };
      series.push(one);
      return (code, seconds) => {
        one.calls.set(code, (one.calls.get(code) ?? 0) + 1);
        one.seconds += seconds;
        const bucket = BUCKETS.findIndex((bound) => seconds <= bound);
        const index = bucket === -1 ? BUCKETS.length : bucket;
        buckets[index] = (buckets[index] ?? 0) + 1;
      };
    },
  };
}

function histogramSamples({ labels, buckets, seconds }: Series): Sample[] {
  const name = "latchkey_call_seconds";
  let count = 0;
  const cumulative = buckets.map((calls, index) => {
    count += calls;
    const le = BUCKETS[index] ?? "+Inf";
    return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
  });
  return [
    ...cumulative,
    { metricName: `${name}_sum`, labels, value: seconds },
    { metricName: `${name}_count`, labels, value: count },
  ];
}

function register(
  registry: Registry,
  type: "counter" | "histogram",
  metric: {
    readonly name: string;
    readonly help: string;
    readonly samples: () => readonly Sample[];
  },
): void {
  const { name, help, samples } = metric;
  const get = async () => ({ name, help, type, values: samples(), aggregator: "sum" });
  // All that a registry asks of a metric; the library types them as its own classes.
  registry.registerMetric({ name, get } as unknown as Metric);
}
