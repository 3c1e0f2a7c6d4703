import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, type ClientReadableStream, credentials } from "@grpc/grpc-js";
import {
  SessionService,
  WatchSessionsRequestSchema,
  type WatchSessionsResponse,
  WatchSessionsResponseSchema,
} from "../gen/ts/latchkey/session/v1/session_service_pb.js";
import { APP, prepareTokens } from "./driver.js";
import { call } from "./grpc-client.js";
import { machine } from "./report.js";
import { SERVERS } from "./servers.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const { createSession, updateSession, watchSessions } = SessionService.method;

const HELP = `npm run bench -- watch [options]

Measures what watchers cost writers: updates at a steady rate over gRPC, in turns
without watchers and with them, each on a fresh server over SQLite. Prints the
writers' latency, the time from an update's answer to its event at a watcher
(negative if the event was there first counts as 0), and the server's memory.

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
  /** Milliseconds from an update's answer to its event; NaN without watchers. */
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
  const watching: ClientReadableStream<Buffer>[] = [];
  const watchers = new Client(grpc, credentials.createInsecure(), {
    // A connection of their own, and room for all of them there.
    "grpc.use_local_subchannel_pool": 1,
  });
  try {
    const userIds: string[] = [];
    const tokens = await prepareTokens(users, async (userId) => {
      userIds.push(userId);
      return (await call(client, createSession, { app: APP, userId }, {})).token;
    });
    /** When the answer to the update that made this version of a user's session came. */
    const answered = new Map<string, number>();
    const early = new Map<string, number>();
    const delays: number[] = [];
    let isMeasuring = false;
    const onEvent = (key: string, at: number) => {
      const since = answered.get(key);
      if (since === undefined) early.set(key, at);
      else if (isMeasuring) delays.push(at - since);
    };
    if (isWatched) {
      const open = (userId: string) => {
        const stream = openWatch(watchers, userId, (response) => {
          if (response.content.case !== "events") return;
          const at = performance.now();
          for (const { version } of response.content.value.events) {
            onEvent(`${userId} ${version}`, at);
          }
        });
        watching.push(stream.call);
        return stream.caughtUp;
      };
      const wholes = Array.from({ length: whole }, () => open(""));
      await Promise.all([...userIds.map(open), ...wholes]);
    }

    const times: number[] = [];
    const update = async (n: number) => {
      const index = n % tokens.length;
      const start = performance.now();
      const request = { app: APP, token: tokens[index] ?? "", data: { n } };
      const { session } = await call(client, updateSession, request, {});
      const end = performance.now();
      if (isMeasuring) times.push(end - start);
      const key = `${userIds[index]} ${session?.version}`;
      if (!isWatched) return;
      if (early.delete(key)) {
        if (isMeasuring) delays.push(0);
      } else {
        answered.set(key, end);
      }
    };
    await atRate(rate, 2, 0, update, signal);
    isMeasuring = true;
    const begun = performance.now();
    const before = await usageOf(server.http);
    await atRate(rate, seconds, 2 * rate, update, signal);
    const took = (performance.now() - begun) / 1_000;
    const { processor, memory } = await usageOf(server.http);
    if (isWatched) await sleep(1_000, undefined, { signal });
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
    for (const one of watching) one.cancel();
    watchers.close();
    client.close();
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
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

function openWatch(
  client: Client,
  userId: string,
  onResponse: (response: WatchSessionsResponse) => void,
) {
  const request = create(WatchSessionsRequestSchema, { app: APP, userId });
  const watch = client.makeServerStreamRequest(
    `/${SessionService.typeName}/${watchSessions.name}`,
    (message: typeof request) => Buffer.from(toBinary(WatchSessionsRequestSchema, message)),
    (bytes: Buffer) => bytes,
    request,
  );
  let hasCaughtUp = false;
  const caughtUp = new Promise<void>((resolve, reject) => {
    watch.on("error", reject);
    watch.on("data", (bytes: Buffer) => {
      // What the load has no use for would only slow the load.
      if (hasCaughtUp && userId === "") return;
      const response = fromBinary(WatchSessionsResponseSchema, bytes);
      hasCaughtUp ||= response.content.case === "progress";
      if (hasCaughtUp) resolve();
      onResponse(response);
    });
  });
  // After it has caught up it is cancelled at the end, which is an error, too.
  caughtUp.catch(() => undefined);
  return { call: watch, caughtUp };
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
