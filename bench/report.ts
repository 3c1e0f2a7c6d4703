import type { Measurement } from "./load.js";
import type { ServerName } from "./servers.js";
import { table } from "./table.js";
import { ABOUT_SERVERS } from "./trials.js";

/** One server's rounds of a trial, summed up. */
export interface Row {
  readonly server: ServerName;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Milliseconds; medians of the rounds' percentiles. */
  readonly p50: number;
  readonly p99: number;
  /** The median of the first, which is Latchkey, divided by this server's. */
  readonly ratio: number;
}

/** What was measured of each server, in the order of the table. */
export type Rounds = ReadonlyMap<ServerName, Measurement[]>;

export function rowsOf(rounds: Rounds): Row[] {
  const medianOf = (server: ServerName) =>
    median((rounds.get(server) ?? []).map((round) => round.callsPerSecond));
  const [first = "latchkey"] = rounds.keys();
  return [...rounds].map(([server, measured]) => {
    const rates = measured.map((round) => round.callsPerSecond);
    return {
      server,
      median: median(rates),
      min: Math.min(...rates),
      max: Math.max(...rates),
      p50: median(measured.map((round) => round.p50)),
      p99: median(measured.map((round) => round.p99)),
      ratio: medianOf(first) / median(rates),
    };
  });
}

/** The rows as a table in Markdown, and a line on what each server is. */
export function tableOf(rows: readonly Row[]): string {
  const cells = [
    ["server", "calls/s, median", "min–max", "p50 ms", "p99 ms", "Latchkey is"],
    ...rows.map(({ server, median, min, max, p50, p99, ratio }, index) => [
      server,
      whole(median),
      `${whole(min)}–${whole(max)}`,
      p50.toFixed(2),
      p99.toFixed(2),
      index === 0 ? "" : `${ratio.toFixed(2)} ×`,
    ]),
  ];
  const about = rows.map(({ server }) => `${server}: ${ABOUT_SERVERS[server]}`);
  return [table(cells), "", ...about].join("\n");
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
