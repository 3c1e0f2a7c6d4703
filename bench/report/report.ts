import type { ServerName } from "../servers/servers.js";
import { ABOUT_SERVERS } from "../trials/comparisons.js";
import type { Measured } from "../trials/round.js";
import { table } from "./table.js";

/** A number that was measured in several rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Milliseconds: each the spread of the rounds' percentiles. */
interface LatencySpreads {
  readonly p50: Spread;
  readonly p99: Spread;
  readonly p999: Spread;
}

/** One server's rounds of a trial, summed up. */
export interface Row extends LatencySpreads {
  readonly server: ServerName;
  readonly callsPerSecond: Spread;
  /** Microseconds of the processors that its processes used for each call. */
  readonly cpuMicros: Spread;
  /** Latencies at a steady rate, and how late the load itself was; absent where there is none. */
  readonly steady?: LatencySpreads & { readonly rate: number; readonly lateness: LatencySpreads };
  /** The median of the first, which is Latchkey, divided by this server's. */
  readonly ratio: number;
}

/** What was measured of each server, in the order of the table. */
export type Rounds = ReadonlyMap<ServerName, Measured[]>;

export function rowsOf(rounds: Rounds): Row[] {
  const rateOf = (measured: readonly Measured[]) =>
    spreadOf(measured.map(({ callsPerSecond }) => callsPerSecond));
  const [first = []] = rounds.values();
  return [...rounds].map(([server, measured]) => {
    const steady = measured.flatMap((round) => (round.steady ? [round.steady] : []));
    const callsPerSecond = rateOf(measured);
    return {
      server,
      callsPerSecond,
      cpuMicros: spreadOf(measured.map(({ cpuMicros }) => cpuMicros)),
      ...latenciesOf(measured),
      ...(steady[0] && {
        steady: {
          rate: steady[0].rate,
          ...latenciesOf(steady),
          lateness: latenciesOf(steady.map(({ lateness }) => lateness)),
        },
      }),
      ratio: rateOf(first).median / callsPerSecond.median,
    };
  });
}

/** The rows as tables in Markdown, and a line on what each server is. */
export function tableOf(rows: readonly Row[]): string {
  const tables = [
    table([
      ["server", "calls/s", "min–max", "CPU µs a call", ...LATENCY_HEADS, "Latchkey is"],
      ...rows.map(({ server, callsPerSecond, cpuMicros, ratio, ...latencies }, index) => [
        server,
        whole(callsPerSecond.median),
        `${whole(callsPerSecond.min)}–${whole(callsPerSecond.max)}`,
        cpuMicros.median.toFixed(1),
        ...latencyCells(latencies),
        index === 0 ? "" : `${ratio.toFixed(2)} ×`,
      ]),
    ]),
  ];
  const steady = rows.flatMap((row) => (row.steady ? [{ ...row.steady, server: row.server }] : []));
  const [first] = steady;
  if (first) {
    tables.push(
      `At a steady ${whole(first.rate)} calls a second, latencies from when each call was due:`,
      table([
        ["server", ...LATENCY_HEADS, "sent late, p99 ms", "Latchkey's p99 is"],
        ...steady.map(({ server, lateness, ...latencies }, index) => [
          server,
          ...latencyCells(latencies),
          lateness.p99.median.toFixed(2),
          index === 0 ? "" : `${(first.p99.median / latencies.p99.median).toFixed(2)} ×`,
        ]),
      ]),
    );
  }
  const about = rows.map(({ server }) => `${server}: ${ABOUT_SERVERS[server]}`);
  return [...tables, about.join("\n")].join("\n\n");
}

const LATENCY_HEADS = ["p50 ms", "p99 ms", "min–max", "p99.9 ms", "min–max"];

function latencyCells({ p50, p99, p999 }: LatencySpreads): string[] {
  const cells = ({ median, min, max }: Spread) => [
    median.toFixed(2),
    `${min.toFixed(2)}–${max.toFixed(2)}`,
  ];
  return [p50.median.toFixed(2), ...cells(p99), ...cells(p999)];
}

function latenciesOf(
  rounds: readonly { readonly p50: number; readonly p99: number; readonly p999: number }[],
): LatencySpreads {
  return {
    p50: spreadOf(rounds.map(({ p50 }) => p50)),
    p99: spreadOf(rounds.map(({ p99 }) => p99)),
    p999: spreadOf(rounds.map(({ p999 }) => p999)),
  };
}

function spreadOf(numbers: readonly number[]): Spread {
  return { median: median(numbers), min: Math.min(...numbers), max: Math.max(...numbers) };
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const low = sorted[Math.floor(middle)] ?? Number.NaN;
  const high = sorted[Math.ceil(middle)] ?? Number.NaN;
  return (low + high) / 2;
}

function whole(number: number): string {
  return Math.round(number).toLocaleString("en-US");
}
