import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Client, credentials } from "@grpc/grpc-js";
import { SessionService } from "../gen/ts/latchkey/session/v1/session_service_pb.js";
import { APP, prepareTokens } from "./driver.js";
import { call } from "./grpc-client.js";
import { machine } from "./provenance.js";
import { SERVERS } from "./servers.js";
import type { Told, Watching } from "./watchers.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const { createSession, updateSession } = SessionService.method;
const WARM_UP_SECONDS = 2;

const HELP = `npm run bench -- watch [options]

Measures what watchers cost writers: updates at a steady rate over gRPC, in turns
without watchers and with them, each on a fresh server over SQLite. Prints the
writers' latency, the time from an update at the server to its event at a watcher,
and the server's processor time and memory.

Options:
  --seconds N   length of a round (10), after 2 s of warm-up
  --rounds N    rounds of each kind (3)
  --users N     watchers of single users (1000)
  --whole N     watchers of the whole app (5)
  --rate N      updates a second (2000)
`;

interface Options {
  readonly seconds: number;
  readonly rounds: number;
  readonly users: number;
  readonly whole: number;
  readonly rate: number;
}

interface Round {
  readonly p50: number;
  readonly p99: number;
  readonly perSecond: number;
  /** Milliseconds from an update at the server to its event at a watcher; NaN without watchers. */
  readonly delay: number;
  readonly delay99: number;
  /** Of the server's process: seconds of processor time a second, all threads together. */
  readonly processor: number;
  /** The same, MiB at the end. */
  readonly memory: number;
}

/** Runs the trial and prints what it found. */
export async function benchWatch(args: readonly string[], signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: "10" },
      rounds: { type: "string", default: "3" },
      users: { type: "string", default: "1000" },
      whole: { type: "string", default: "5" },
      rate: { type: "string", default: "2000" },
      smoke: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const number = (name: Exclude<keyof typeof values, "smoke" | "help">): number => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= 1) return value;
    throw new Error(`--${name} must be a whole number of at least 1`);
  };
  const options: Options = values.smoke
    ? { seconds: 1, rounds: 1, users: 20, whole: 2, rate: 100 }
    : {
        seconds: number("seconds"),
        rounds: number("rounds"),
        users: number("users"),
        whole: number("whole"),
        rate: number("rate"),
      };
  const without: Round[] = [];
  const watched: Round[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    for (const [rounds, isWatched] of [
      [without, false],
      [watched, true],
    ] as const) {
      const one = await runRound(options, isWatched, signal);
      rounds.push(one);
      const kind = isWatched ? "watched" : "without watchers";
      process.stderr.write(`round ${round}, ${kind}: ${show(one)}\n`);
    }
  }
  const middle = (rounds: readonly Round[], of: keyof Round) =>
    percentile(
      rounds.map((one) => one[of]),
      50,
    );
  const sum = (rounds: readonly Round[]): Round => ({
    p50: middle(rounds, "p50"),
    p99: middle(rounds, "p99"),
    perSecond: middle(rounds, "perSecond"),
    delay: middle(rounds, "delay"),
    delay99: middle(rounds, "delay99"),
    processor: middle(rounds, "processor"),
    memory: middle(rounds, "memory"),
  });
  const [base, result] = [sum(without), sum(watched)];
  process.stdout.write(
    `\n${options.users} watchers of single users and ${options.whole} of the whole app, ${options.rate} updates a second, medians of ${options.rounds} rounds of ${options.seconds} s\n\n` +
      `without watchers: ${show(base)}\nwatched:          ${show(result)}\n` +
      `writers' p99, watched over without: ${(result.p99 / base.p99).toFixed(2)} (to be at most 1.3)\n` +
      `delay of events, median: ${result.delay.toFixed(1)} ms (to be at most 100)\n` +
      `memory of watchers: ${(result.memory - base.memory).toFixed(0)} MiB\n\n${machine(new Date())}\n`,
  );
}

async function runRound(
  { seconds, users, whole, rate }: Options,
  isWatched: boolean,
  signal: AbortSignal,
): Promise<Round> {
  const dir = await mkdtemp(join(ROOT, "dist", "bench-"));
  const server = await SERVERS.latchkey({ root: ROOT, dir, store: "sqlite", signal });
  const { grpc = "" } = server;
  const client = new Client(grpc, credentials.createInsecure());
  let watchers: ChildProcess | undefined;
  try {
    const userIds: string[] = [];
    const tokens = await prepareTokens(users, async (userId) => {
      const { token } = await call(client, createSession, { app: APP, userId }, {});
      userIds.push(userId);
      return token;
    });
    const ids = [...userIds].sort((a, b) => numberOf(a) - numberOf(b));
    if (isWatched) {
      const watching: Watching = { grpc, app: APP, userIds: ids, whole };
      watchers = fork(fileURLToPath(new URL("./watchers.ts", import.meta.url)), {
        execArgv: ["--import", "tsx"],
      });
      watchers.send(watching);
      await once(watchers, "message", { signal });
    }

    const times: number[] = [];
    /** The versions of users' sessions that updates were answered with. */
    const answered = new Set<string>();
    const update = async (n: number) => {
      const index = n % tokens.length;
      const start = performance.now();
      const request = { app: APP, token: tokens[index] ?? "", data: { n } };
      const { session } = await call(client, updateSession, request, {});
      const end = performance.now();
      times.push(end - start);
      answered.add(`${ids[index]} ${session?.version}`);
    };
    await atRate(rate, WARM_UP_SECONDS, 0, update, signal);
    times.length = 0;
    answered.clear();
    const begun = performance.now();
    const before = await usageOf(server.http);
    await atRate(rate, seconds, WARM_UP_SECONDS * rate, update, signal);
    const took = (performance.now() - begun) / 1_000;
    const { processor, memory } = await usageOf(server.http);

    const delays: number[] = [];
    if (watchers) {
      await sleep(1_000, undefined, { signal });
      watchers.send("end");
      const [told] = (await once(watchers, "message", { signal })) as [Told[]];
      for (const [userId, version, delay] of told) {
        if (answered.delete(`${userId} ${version}`)) delays.push(delay);
      }
      if (answered.size > 0) throw new Error(`${answered.size} events were not delivered`);
    }
    return {
      p50: percentile(times, 50),
      p99: percentile(times, 99),
      perSecond: times.length / took,
      delay: percentile(delays, 50),
      delay99: percentile(delays, 99),
      processor: (processor - before.processor) / took,
      memory,
    };
  } finally {
    watchers?.kill("SIGKILL");
    client.close();
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

/** `prepareTokens` answers in the order of these numbers. */
function numberOf(userId: string): number {
  return Number(userId.split("-").at(-1));
}

/** Calls `work` so often a second, however long its calls take; resolves when all are done. */
async function atRate(
  rate: number,
  seconds: number,
  from: number,
  work: (n: number) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const begun = performance.now();
  const calls: Promise<void>[] = [];
  while (calls.length < rate * seconds) {
    const due = Math.min(rate * seconds, ((performance.now() - begun) / 1_000) * rate);
    while (calls.length < due) calls.push(work(from + calls.length));
    await sleep(1, undefined, { signal });
  }
  await Promise.all(calls);
}

/** What the server's process used so far: processor time in seconds, and resident memory in MiB. */
async function usageOf(http = ""): Promise<{ processor: number; memory: number }> {
  const text = await (await fetch(`${http}/metrics`)).text();
  const metric = (name: string) => Number(new RegExp(`^${name} (\\S+)`, "m").exec(text)?.[1]);
  return {
    processor: metric("process_cpu_seconds_total"),
    memory: metric("process_resident_memory_bytes") / 1024 / 1024,
  };
}

function percentile(numbers: readonly number[], p: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.ceil((p / 100) * sorted.length) - 1] ?? Number.NaN;
}

function show({ p50, p99, perSecond, delay, delay99, processor, memory }: Round): string {
  const delays = Number.isNaN(delay)
    ? ""
    : `, delay ${delay.toFixed(1)} ms (p99 ${delay99.toFixed(1)})`;
  return `${Math.round(perSecond)} updates/s, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms${delays}, processor ${processor.toFixed(2)} s/s, ${memory.toFixed(0)} MiB`;
}
