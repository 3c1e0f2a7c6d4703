import { createReadStream } from "node:fs";
import { join, resolve } from "node:path";
import { type Filled, fillOnce } from "../data/filled-file.js";
import type { Population } from "../data/population.js";
import { checkCalls } from "../load/open-load.js";
import type { Phase, PhaseResult } from "../load/phase.js";
import { peakOf } from "../measure/memory.js";
import { checkBuild, noteProvenance, provenanceText, writeResult } from "../report/provenance.js";
import { median } from "../report/report.js";
import { table } from "../report/table.js";
import { type Database, inPlace, type Place, serve } from "../servers/serving.js";
import { parseTrialOptions, type TrialValues } from "../trial-options.js";

const OPTIONS = {
  about: `npm run bench -- scale [options]

Fills a database with sessions of 64 bytes of data each, by the store's own code, and shows what
they cost: time to fill, bytes of disk each, time to start, resident memory, and the latency at one
steady rate of gets over all of them and over the hottest 1 %, and of creates, beside a server with
few. Each round has fresh processes, the servers in turn.`,
  numbers: {
    sessions: { normal: 10_000_000, smoke: 5_000, most: 50_000_000, means: "sessions" },
    few: { normal: 10_000, smoke: 1_000, most: 100_000, means: "sessions of the server with few" },
    rate: { normal: 2_000, smoke: 500, most: 50_000, means: "gets a second" },
    creates: { normal: 1_000, smoke: 200, most: 50_000, means: "creates a second" },
    seconds: { normal: 10, smoke: 1, most: 120, means: "length of each measurement" },
    rounds: { normal: 3, smoke: 1, most: 20, means: "rounds" },
    connections: { normal: 32, smoke: 8, most: 512, means: "connections" },
  },
  flags: { durable: "fill with each batch on disk before the next, as a server does" },
  files: {
    file: "the filled database, kept for the next run; filled if it is not there",
    json: "write the result to a file too",
  },
} as const;

/** What is measured, in the order of the table: gets of few sessions, of all, and of the hottest;
 * creates beside few, and beside all. */
const MEASURED = ["few", "all", "hot", "beside few", "beside all"] as const;
type Measured = (typeof MEASURED)[number];

interface Round {
  /** Of the server with all sessions: seconds until it had answered a get. */
  readonly startUp: number;
  /** The same server's memory in MiB: when it had started, and the most it was. */
  readonly memory: { readonly started: number; readonly most: number };
  readonly calls: Readonly<Record<Measured, PhaseResult>>;
}

type Options = TrialValues<typeof OPTIONS>;

/** Runs the trial and prints what it found. */
export async function benchScale(
  root: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const options = parseTrialOptions(args, OPTIONS);
  if (!options) return;
  const made = await noteProvenance(root, ["scale", ...args]);
  await inPlace({ root, signal }, async (place) => {
    const all = await prepare(place, options, options.file, { name: "all", apps: 10 }, "sessions");
    const few = await prepare(place, options, "", { name: "few", apps: 1 }, "few");
    const rounds: Round[] = [];
    for (let round = 1; round <= options.rounds; round++) {
      const measured = await runRound(place, options, all, few);
      rounds.push(measured);
      const p99 = MEASURED.map((what) => `${what} ${measured.calls[what].accepted.p99.toFixed(2)}`);
      process.stderr.write(
        `scale, round ${round} of ${options.rounds}: p99 ms ${p99.join(", ")}\n`,
      );
    }
    await checkBuild(root, made);
    const setting = `sessions: ${options.sessions}, 64 bytes of data each; gets a second: ${options.rate}, creates: ${options.creates}, ${options.rounds} rounds of ${options.seconds} s`;
    process.stdout.write(textOf(options, all.filled, rounds) + provenanceText(made, setting));
    await writeResult(options.json, { ...made, setting, filled: all.filled, rounds });
  });
}

interface Prepared extends Database {
  readonly filled: Filled;
}

async function prepare(
  { dir, signal }: Place,
  options: Options,
  file: string,
  named: Pick<Population, "name" | "apps">,
  count: "sessions" | "few",
): Promise<Prepared> {
  const population = { ...named, count: options[count] };
  const path = file === "" ? join(dir, `${population.name}.db`) : resolve(file);
  const { durable } = options;
  const filled = await fillOnce({ path, population, expiresAt: null, durable }, signal);
  return { path, population, filled };
}

async function runRound(
  place: Place,
  options: Options,
  all: Prepared,
  few: Prepared,
): Promise<Round> {
  const { rate, creates, seconds, connections } = options;
  const { signal } = place;
  const base = { call: "get", connections, whenBusy: "wait", window: 250 } as const;
  const measured = { ...base, rate, seconds, order: "random" } as const;
  const created = { ...measured, call: "create", rate: creates } as const;
  const once = { ...base, rate: null, seconds: null, order: "each" } as const;
  const over = ({ population }: Prepared, among = population.count) => ({ population, among });

  const run = async (phases: readonly Phase[], begin: (phase: Phase) => Promise<PhaseResult>) => {
    const results: PhaseResult[] = [];
    for (const phase of phases) {
      const result = await begin(phase);
      checkCalls(result);
      results.push(result);
    }
    return results;
  };

  const [, fewGets, fewCreates] = await serve(place, few, ({ load }) =>
    run(
      [
        { name: "warm-up", ...once, ...over(few) },
        { name: "few", ...measured, ...over(few) },
        { name: "beside few", ...created, ...over(few) },
      ],
      load.begin,
    ),
  );
  // What is measured is the server, not the disk: such a file is in the system's memory where
  // it is in use and there is room. Some systems drop what lay idle for minutes.
  for await (const _ of createReadStream(all.path, { highWaterMark: 2 ** 20 }))
    signal.throwIfAborted();
  return serve(place, all, async ({ server, load, startUp, memory }) => {
    const hottest = Math.ceil(options.sessions / 100);
    const [, uniform, , hot, allCreates] = await run(
      [
        { name: "warm-up", ...measured, seconds: Math.min(seconds, 3), ...over(all) },
        { name: "all", ...measured, ...over(all) },
        { name: "warm-up", ...once, ...over(all, hottest) },
        { name: "hot", ...measured, ...over(all, hottest) },
        { name: "beside all", ...created, ...over(all) },
      ],
      load.begin,
    );
    if (!fewGets || !fewCreates || !uniform || !hot || !allCreates) {
      throw new Error("a phase gave no result");
    }
    return {
      startUp,
      memory: { started: memory, most: peakOf(server.pid) },
      calls: {
        few: fewGets,
        all: uniform,
        hot,
        "beside few": fewCreates,
        "beside all": allCreates,
      },
    };
  });
}

function textOf(options: Options, filled: Filled, rounds: readonly Round[]): string {
  /** What each is called in the table, and what its p99 is compared with. */
  const texts: Record<Measured, { readonly name: string; readonly to: Measured }> = {
    few: { name: `gets of ${whole(options.few)} sessions`, to: "few" },
    all: { name: `gets of all ${whole(options.sessions)}`, to: "few" },
    hot: { name: "gets of the hottest 1 % of them", to: "few" },
    "beside few": { name: `creates beside ${whole(options.few)}`, to: "beside few" },
    "beside all": { name: `creates beside ${whole(options.sessions)}`, to: "beside few" },
  };
  const p99Of = (what: Measured) => median(rounds.map(({ calls }) => calls[what].accepted.p99));
  const cells = [
    [
      "calls",
      "p50 ms",
      "p99 ms",
      "min–max",
      "p99.9 ms",
      "max ms",
      "p99 to few's",
      "sent late, p99 ms",
    ],
    ...MEASURED.map((what) => {
      const { name, to } = texts[what];
      const results = rounds.map(({ calls }) => calls[what]);
      const middle = (of: "p50" | "p999" | "max") =>
        median(results.map(({ accepted }) => accepted[of])).toFixed(2);
      const p99 = results.map(({ accepted }) => accepted.p99);
      return [
        name,
        middle("p50"),
        p99Of(what).toFixed(2),
        `${Math.min(...p99).toFixed(2)}–${Math.max(...p99).toFixed(2)}`,
        middle("p999"),
        middle("max"),
        `${(p99Of(what) / p99Of(to)).toFixed(2)} ×`,
        median(results.map(({ lateness }) => lateness.p99)).toFixed(2),
      ];
    }),
  ];
  const most = (of: (round: Round) => number) => Math.max(...rounds.map(of));
  return `
${table(cells)}

filled in ${filled.seconds.toFixed(0)} s (${whole(options.sessions / filled.seconds)} sessions a second), ${options.durable ? "each batch on disk before the next" : "one sync at the end"}
disk: ${filled.bytesPerSession.toFixed(0)} bytes a session (to be at most 400)
start to the first get's answer: ${median(rounds.map((round) => round.startUp)).toFixed(2)} s, at most ${most((round) => round.startUp).toFixed(2)} s (to be at most 1)
resident memory: ${most((round) => round.memory.started).toFixed(0)} MiB started, at most ${most((round) => round.memory.most).toFixed(0)} MiB (to be at most 700)
p99 of gets over all to few's: ${(p99Of("all") / p99Of("few")).toFixed(2)} (to be at most 2); over the hottest: ${(p99Of("hot") / p99Of("few")).toFixed(2)} (to be at most 1.2)
`;
}

function whole(number: number): string {
  return Math.round(number).toLocaleString("en-US");
}
