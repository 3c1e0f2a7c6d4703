import { execFile } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { promisify } from "node:util";

export interface Load {
  readonly seconds: number;
  /** Calls in flight. */
  readonly connections: number;
  readonly signal: AbortSignal;
}

export interface Measurement {
  /** Calls that the tool saw answered. */
  readonly calls: number;
  readonly callsPerSecond: number;
  /** Milliseconds from a request to the end of its answer. They are those of a load that waits for
   * answers before it asks again, so they say little of a server that stalls. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** Streams that h2load keeps open on each of its connections. */
export const STREAMS = 4;

/** The end of every wrk script: exact numbers, where wrk's own text rounds them. */
export const WRK_REPORT = `
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("\\ncalls=%d micros=%d p50=%d p99=%d p999=%d failed=%d\\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    latency:percentile(99.9), e.connect + e.read + e.write + e.status + e.timeout))
end
`;

/** Runs wrk with a script that ends in WRK_REPORT. A call that failed is an error. */
export async function runWrk(load: Load, script: string, url: string): Promise<Measurement> {
  const output = await run(load, [
    "wrk",
    // One thread has one Lua state, so a script's counter gives no number twice.
    "--threads=1",
    `--connections=${load.connections}`,
    `--duration=${load.seconds}s`,
    "--timeout=10s",
    `--script=${script}`,
    url,
  ]);
  const { calls, micros, p50, p99, p999, failed } = numbersIn(output, {
    calls: /calls=(\d+)/,
    micros: /micros=(\d+)/,
    p50: /p50=(\d+)/,
    p99: /p99=(\d+)/,
    p999: /p999=(\d+)/,
    failed: /failed=(\d+)/,
  });
  if (failed > 0) throw new Error(`wrk: ${failed} calls failed, ${calls} were answered`);
  return {
    calls,
    callsPerSecond: calls / (micros / 1e6),
    p50: p50 / 1e3,
    p99: p99 / 1e3,
    p999: p999 / 1e3,
  };
}

/**
 * Runs h2load, which posts one and the same gRPC message. A call that failed on
 * HTTP's level is an error; a gRPC status is not seen here.
 */
export async function runH2load(
  load: Load,
  message: string,
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Measurement> {
  const times = `${message}.times`;
  const clients = Math.ceil(load.connections / STREAMS);
  const output = await run(load, [
    "h2load",
    `--clients=${clients}`,
    `--max-concurrent-streams=${STREAMS}`,
    `--duration=${load.seconds}`,
    `--data=${message}`,
    "--header=te: trailers",
    "--header=content-type: application/grpc",
    // A secret among them is that of a server which lives for this round only.
    ...Object.entries(headers).map(([name, value]) => `--header=${name}: ${value}`),
    `--log-file=${times}`,
    url,
  ]);
  const { calls, perSecond, failed, errored, timeout } = numbersIn(output, {
    calls: /^requests:.* (\d+) done/m,
    perSecond: /^finished in .* ([\d.]+) req\/s/m,
    failed: /^requests:.* (\d+) failed/m,
    errored: /^requests:.* (\d+) errored/m,
    timeout: /^requests:.* (\d+) timeout/m,
  });
  const lost = failed + errored + timeout;
  if (lost > 0) throw new Error(`h2load: ${lost} calls failed, ${calls} were answered`);
  const lines = (await readFile(times, "utf8")).trimEnd().split("\n");
  await rm(times);
  // Columns: start, HTTP status, microseconds.
  const millis = lines.map((line) => Number(line.split("\t")[2]) / 1e3).sort((a, b) => a - b);
  const percentile = (p: number) => millis[Math.ceil((p / 100) * millis.length) - 1] ?? Number.NaN;
  return {
    calls,
    callsPerSecond: perSecond,
    p50: percentile(50),
    p99: percentile(99),
    p999: percentile(99.9),
  };
}

async function run(
  { seconds, signal }: Load,
  [command, ...args]: readonly [string, ...string[]],
): Promise<string> {
  const timeout = (seconds + 15) * 1_000;
  const { stdout } = await promisify(execFile)(command, args, { timeout, signal });
  return stdout;
}

/** The number that each pattern's group matches. */
function numbersIn<K extends string>(
  output: string,
  patterns: Record<K, RegExp>,
): Record<K, number> {
  const numbers: Partial<Record<K, number>> = {};
  for (const key in patterns) {
    const text = patterns[key].exec(output)?.[1];
    if (text === undefined) throw new Error(`the load tool said nothing of ${key}:\n${output}`);
    numbers[key] = Number(text);
  }
  return numbers as Record<K, number>;
}
