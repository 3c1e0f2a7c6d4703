import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fill } from "../data/filled-file.js";
import { appOf, type Population, userIdOf } from "../data/population.js";
import { checkCalls } from "../load/open-load.js";
import type { Phase } from "../load/phase.js";
import type { Question, Told, Watching } from "../load/watchers.js";
import { residentOf } from "../measure/memory.js";
import type { Latencies } from "../report/latencies.js";
import { checkBuild, noteProvenance, provenanceText, writeResult } from "../report/provenance.js";
import { table } from "../report/table.js";
import { inPlace, type Place, type Serving, serve } from "../servers/serving.js";
import { parseTrialOptions, type TrialValues } from "../trial-options.js";

const OPTIONS = {
  about: `npm run bench -- watch [options]

Measures what watchers cost writers: updates of sessions at a steady rate over HTTP, in turns
without watchers and with them, each on a fresh server and file. Prints the writers' latency, each
call's counted from when it was due, the time from an update at the server to its event at a
watcher, and the server's processor time and memory. An event that is not delivered fails the run.`,
  numbers: {
    seconds: {
      normal: 10,
      smoke: 1,
      most: 120,
      means: "length of a round, after as long a warm-up",
    },
    rounds: { normal: 3, smoke: 1, most: 20, means: "rounds of each kind" },
    users: { normal: 1_000, smoke: 20, most: 1_000, means: "watchers of single users" },
    whole: { normal: 5, smoke: 2, most: 20, means: "watchers of the whole app" },
    rate: { normal: 2_000, smoke: 100, most: 50_000, means: "updates a second" },
    connections: { normal: 32, smoke: 8, most: 512, means: "of the writers" },
  },
  files: { json: "write the result to a file too" },
} as const;

type Options = TrialValues<typeof OPTIONS>;

interface Round {
  readonly writers: Latencies;
  /** Null without watchers. */
  readonly delay: Latencies | null;
  /** Of the server's process: seconds of processor time a second, all threads together. */
  readonly processor: number;
  /** The same, MiB at the end. */
  readonly memory: number;
}

const KINDS = ["without watchers", "watched"] as const;

/** Runs the trial and prints what it found. */
export async function benchWatch(
  root: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const options = parseTrialOptions(args, OPTIONS);
  if (!options) return;
  const made = await noteProvenance(root, ["watch", ...args]);
  const rounds: Record<(typeof KINDS)[number], Round[]> = { "without watchers": [], watched: [] };
  for (let round = 1; round <= options.rounds; round++) {
    for (const kind of KINDS) {
      const one = await inPlace({ root, signal }, (place) =>
        runRound(place, options, kind === "watched"),
      );
      rounds[kind].push(one);
      process.stderr.write(`round ${round}, ${kind}: p99 ${one.writers.p99.toFixed(1)} ms\n`);
    }
  }
  await checkBuild(root, made);
  const setting = `${options.users} watchers of single users and ${options.whole} of the whole app, ${options.rate} updates a second, medians of ${options.rounds} rounds of ${options.seconds} s`;
  process.stdout.write(textOf(rounds) + provenanceText(made, setting));
  await writeResult(options.json, { ...made, setting, rounds });
}

async function runRound(place: Place, options: Options, isWatched: boolean): Promise<Round> {
  const population: Population = { name: "watch", count: 4 * options.users, apps: 1 };
  const path = join(place.dir, "watch.db");
  await fill({ path, population, durable: false, expiresAt: null }, place.signal);
  return serve(place, { path, population }, async (serving) => {
    const watchers = isWatched ? await startWatchers(options, population, serving, place) : null;
    try {
      return await measure(options, population, serving, watchers);
    } finally {
      watchers?.kill("SIGKILL");
    }
  });
}

async function startWatchers(
  { users, whole }: Options,
  population: Population,
  { server }: Serving,
  { signal }: Place,
): Promise<ChildProcess> {
  const watchers = fork(fileURLToPath(new URL("../load/watchers.ts", import.meta.url)), {
    execArgv: ["--import", "tsx"],
  });
  const watching: Watching = {
    grpc: server.grpc ?? "",
    app: appOf(population, 0),
    userIds: Array.from({ length: users }, (_, n) => userIdOf(population, n)),
    whole,
  };
  watchers.send(watching);
  await Promise.race([once(watchers, "message", { signal }), ending(watchers)]);
  return watchers;
}

async function measure(
  { seconds, rate, connections }: Options,
  population: Population,
  { server, url, load }: Serving,
  watchers: ChildProcess | null,
): Promise<Round> {
  const updates: Omit<Phase, "name"> = {
    call: "set",
    population,
    among: population.count,
    order: "random",
    rate,
    connections,
    whenBusy: "wait",
    seconds,
    window: 1_000,
  };
  const warmUp = await load.begin({ name: "warm-up", ...updates });
  checkCalls(warmUp);
  const before = await processorOf(url);
  const result = await load.begin({ name: "measured", ...updates });
  const processor = ((await processorOf(url)) - before) / result.seconds;
  checkCalls(result);
  const memory = residentOf(server.pid);
  if (!watchers) return { writers: result.accepted, delay: null, processor, memory };
  const question: Question = {
    since: result.at,
    events: warmUp.accepted.count + result.accepted.count,
  };
  watchers.send(question);
  const [{ delay }] = (await Promise.race([once(watchers, "message"), ending(watchers)])) as [Told];
  return { writers: result.accepted, delay, processor, memory };
}

/** Rejects when the watchers have ended, which they do only for a fault. */
async function ending(watchers: ChildProcess): Promise<never> {
  await once(watchers, "exit");
  throw new Error("the watchers ended: see above");
}

/** Seconds of processor time that the server's process used so far. */
async function processorOf(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^process_cpu_seconds_total (\S+)/m.exec(text)?.[1]);
}

function textOf(rounds: Record<(typeof KINDS)[number], readonly Round[]>): string {
  const middle = (kind: (typeof KINDS)[number], of: (round: Round) => number): number => {
    const sorted = rounds[kind].map(of).sort((a, b) => a - b);
    return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  };
  const spread = (kind: (typeof KINDS)[number]) => {
    const all = rounds[kind].map(({ writers }) => writers.p99);
    return `${Math.min(...all).toFixed(1)}–${Math.max(...all).toFixed(1)}`;
  };
  const cells = [
    [
      "writers",
      "p50 ms",
      "p99 ms",
      "min–max",
      "p99.9 ms",
      "events' delay, p50 ms",
      "p99 ms",
      "processor",
      "memory MiB",
    ],
    ...KINDS.map((kind) => [
      kind,
      middle(kind, ({ writers }) => writers.p50).toFixed(2),
      middle(kind, ({ writers }) => writers.p99).toFixed(2),
      spread(kind),
      middle(kind, ({ writers }) => writers.p999).toFixed(2),
      kind === "watched" ? middle(kind, ({ delay }) => delay?.p50 ?? 0).toFixed(1) : "",
      kind === "watched" ? middle(kind, ({ delay }) => delay?.p99 ?? 0).toFixed(1) : "",
      middle(kind, ({ processor }) => processor).toFixed(2),
      middle(kind, ({ memory }) => memory).toFixed(0),
    ]),
  ];
  const ratio =
    middle("watched", ({ writers }) => writers.p99) /
    middle("without watchers", ({ writers }) => writers.p99);
  return `\n${table(cells)}\n\nwriters' p99, watched over without: ${ratio.toFixed(2)} (to be at most 1.3); events' delay, median: to be at most 100 ms\n`;
}
