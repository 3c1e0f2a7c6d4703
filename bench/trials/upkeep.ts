import { execFile } from "node:child_process";
import { statSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type Filled, fill, fillOnce } from "../data/filled-file.js";
import { appOf, type Population } from "../data/population.js";
import { callJson } from "../load/json-call.js";
import { checkCalls } from "../load/open-load.js";
import type { PhaseResult } from "../load/phase.js";
import { startWriteProbe } from "../load/write-probe.js";
import { peakOf } from "../measure/memory.js";
import type { Latencies } from "../report/latencies.js";
import { latencyPlot } from "../report/latency-plot.js";
import { checkBuild, noteProvenance, provenanceText, writeResult } from "../report/provenance.js";
import { percent, table } from "../report/table.js";
import { type Database, inPlace, type Place, type Serving, serve } from "../servers/serving.js";
import { parseTrialOptions, type TrialValues } from "../trial-options.js";

const OPTIONS = {
  about: `npm run bench -- upkeep [options]

Measures what the work behind the scenes costs callers: a sweep of expired sessions, the end of all
of an app's, and a backup, each while gets of the hottest sessions come at a steady part of the
most that the server answers, and one session is written to some 45 times a second. Prints the latencies
during each and in quiet, and plots those of the gets.`,
  numbers: {
    sessions: { normal: 10_000_000, smoke: 5_000, most: 50_000_000, means: "sessions that stay" },
    batch: {
      normal: 1_000_000,
      smoke: 1_000,
      most: 10_000_000,
      means: "sessions swept, and ended",
    },
    hot: { normal: 100_000, smoke: 1_000, most: 1_000_000, means: "sessions that are read" },
    percent: { normal: 50, smoke: 20, most: 100, means: "of the most gets a second, the load" },
    seconds: { normal: 20, smoke: 1, most: 120, means: "of quiet before; a quarter between" },
    connections: { normal: 32, smoke: 8, most: 512, means: "connections" },
  },
  files: {
    file: "the filled database, kept for the next run; filled if it is not there",
    plot: "write the latencies over time to an SVG file",
    json: "write the result to a file too",
  },
} as const;

type Options = TrialValues<typeof OPTIONS>;

/** Milliseconds between two looks at how many sessions there are, also in quiet. */
const LOOK_MS = 1_000;
const MOST_MS = 1_800_000;
const TASKS = ["sweep", "end of an app", "backup"] as const;

interface Trial {
  readonly base: Database & { readonly filled: Filled };
  readonly doomed: Population;
  /** The instant at which the sessions that will be swept expire. */
  readonly expiresAt: number;
}

interface Result {
  readonly mostPerSecond: number;
  readonly phases: readonly PhaseResult[];
  /** What the writes of each phase waited for. */
  readonly writes: readonly Latencies[];
  /** Seconds from when the sessions expired to when none of them was left. */
  readonly swept: number;
  readonly backupBytes: number;
  /** MiB, the most it was. */
  readonly memory: number;
}

/** Runs the trial and prints what it found. */
export async function benchUpkeep(
  root: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const options = parseTrialOptions(args, OPTIONS);
  if (!options) return;
  const made = await noteProvenance(root, ["upkeep", ...args]);
  await inPlace({ root, signal }, async (place) => {
    const trial = await prepare(place, options);
    const result = await serve(place, trial.base, (serving) => run(place, options, trial, serving));
    await checkBuild(root, made);
    const setting = `sessions: ${options.sessions}, and ${options.batch} to be swept and ${options.batch} of the app; ${Math.round((result.mostPerSecond * options.percent) / 100)} gets a second of ${options.hot} sessions, ${options.percent} % of the most`;
    process.stdout.write(textOf(options, result) + provenanceText(made, setting));
    const quiet = result.phases[0]?.accepted.p99 ?? Number.NaN;
    if (options.plot !== "") {
      const bound = { name: "twice the quiet p99", at: 2 * quiet };
      const title = `Gets at ${options.percent} % of the most, during upkeep (windows of 250 ms)`;
      await writeFile(options.plot, latencyPlot(title, result.phases, TASKS, bound));
    }
    await writeResult(options.json, { ...made, setting, ...result });
  });
}

/** Fills in the sessions that stay, those of an app that will be ended, and those that will expire. */
async function prepare({ dir, signal }: Place, options: Options): Promise<Trial> {
  const { sessions, batch, hot, seconds, smoke } = options;
  if (hot > sessions) throw new Error("--hot must be at most --sessions");
  const path = options.file === "" ? join(dir, "all.db") : resolve(options.file);
  const population = { name: "all", count: sessions, apps: 10 };
  const bulk = { path, durable: false, expiresAt: null };
  const filled = await fillOnce({ ...bulk, population }, signal);
  // Names of this run, since a kept file may have what a run before left behind.
  const id = Date.now().toString(36).slice(-7);
  const doomed = { name: `end-${id}`, count: batch, apps: 1 };
  const took = await fill({ ...bulk, population: doomed }, signal);
  const expiring = { name: `old-${id}`, count: batch, apps: 1 };
  // Late enough that the server is warm by then, though the machine be slower than a moment ago.
  const lead = 1.5 * took.seconds + hot / 4_000 + 2 * seconds + (smoke ? 10 : 30);
  const expiresAt = Math.round(Date.now() + lead * 1_000);
  await fill({ ...bulk, population: expiring, expiresAt }, signal);
  return { base: { path, population, filled }, doomed, expiresAt };
}

async function run(
  { root, dir, signal }: Place,
  options: Options,
  { base, doomed, expiresAt }: Trial,
  { server, url, load }: Serving,
): Promise<Result> {
  const { hot, percent, seconds, connections, batch } = options;
  const { population } = base;
  const gets = { call: "get", population, among: hot, connections, window: 250 } as const;
  const endless = { ...gets, rate: null, seconds: null, whenBusy: "wait" } as const;
  await load.begin({ name: "warm-up", ...endless, order: "each" });
  const timed = { ...endless, seconds: Math.min(seconds, 5), order: "random" } as const;
  const most = await load.begin({ name: "most", ...timed });
  checkCalls(most);
  const mostPerSecond = most.accepted.count / most.seconds;
  const rate = (mostPerSecond * percent) / 100;

  const left = expiresAt - Date.now();
  if (left < seconds * 1_000) {
    throw new Error(`the sessions to be swept expire in ${left} ms already: filling was too slow`);
  }
  const phases: Promise<PhaseResult>[] = [];
  const writes: Latencies[] = [];
  // Ends what is under way, too, when the load or the server fails.
  const ending = new AbortController();
  const ended = AbortSignal.any([signal, ending.signal]);
  const probe = await startWriteProbe(url, ended);
  const during = async (name: string, work: Promise<unknown> | (() => Promise<unknown>)) => {
    const phase = load.begin({
      name,
      ...gets,
      rate,
      seconds: null,
      order: "random",
      whenBusy: "wait",
    });
    phases.push(phase);
    // The phase ends after the work, unless the load fails.
    await Promise.race([typeof work === "function" ? work() : work, phase]);
    writes.push(probe.take());
  };
  const total = watchTotal(url, ended);
  const pause = () => sleep((seconds * 1_000) / 4, undefined, { signal: ended });
  try {
    await during("quiet", sleep(left - 500, undefined, { signal: ended }));
    const before = total.latest();
    await during("sweep", () => total.until(before - batch));
    const swept = (Date.now() - expiresAt) / 1_000;
    await during("after the sweep", pause);
    await during("end of an app", async () => {
      const count = await endApp(url, appOf(doomed, 0), ended);
      if (count !== batch) throw new Error(`${count} sessions of the app were ended, not ${batch}`);
    });
    await during("after the end of an app", pause);
    const copy = join(dir, "backup.db");
    await during("backup", () => backup(root, base.path, copy, ended));
    const backupBytes = statSync(copy).size;
    await during("after the backup", async () => {
      await rm(copy);
      await pause();
    });
    load.end();
    const results = await Promise.all(phases);
    for (const result of results) checkCalls(result);
    return {
      mostPerSecond,
      phases: results,
      writes,
      swept,
      backupBytes,
      memory: peakOf(server.pid),
    };
  } finally {
    ending.abort();
  }
}

/** Asks a server again and again how many sessions it has, until the signal. */
function watchTotal(url: string, signal: AbortSignal) {
  let latest = Number.NaN;
  let failure: unknown;
  const look = async () => {
    for (;;) {
      const text = await (await fetch(`${url}/metrics`, { signal })).text();
      latest = Number(/^latchkey_store_sessions (\S+)/m.exec(text)?.[1]);
      await sleep(LOOK_MS, undefined, { signal });
    }
  };
  look().catch((error: unknown) => {
    failure = error;
  });
  return {
    latest: () => latest,
    /** Resolves when there are so many or fewer. */
    async until(count: number): Promise<void> {
      const deadline = performance.now() + MOST_MS;
      while (!(latest <= count)) {
        if (failure !== undefined) throw failure;
        if (performance.now() > deadline) throw new Error(`${latest} sessions are left`);
        await sleep(50, undefined, { signal });
      }
    },
  };
}

/** Ends all sessions of an app; answers how many. */
async function endApp(url: string, app: string, signal: AbortSignal): Promise<number> {
  const text = await callJson("DELETE", `${url}/${app}/killall`, null, signal);
  const killed = /^\{"kill":(\d+)\}$/.exec(text)?.[1];
  if (killed === undefined) throw new Error(`killall answered ${text}`);
  return Number(killed);
}

/** Makes a backup as an operator does. */
async function backup(root: string, from: string, to: string, signal: AbortSignal): Promise<void> {
  const env = { ...process.env, LATCHKEY_STORE: `sqlite:${from}` };
  const args = [join(root, "dist/src/bin.js"), "backup", to];
  await promisify(execFile)(process.execPath, args, { env, signal, timeout: MOST_MS });
}

function textOf(
  options: Options,
  { phases, writes, mostPerSecond, swept, backupBytes, memory }: Result,
): string {
  const quiet = phases[0]?.accepted.p99 ?? Number.NaN;
  const cells = [
    [
      "gets",
      "for s",
      "p50 ms",
      "p99 ms",
      "p99.9 ms",
      "max ms",
      "longest gap ms",
      "p99 to quiet",
      "worst 250 ms: p99",
      "writes: p99 ms",
      "max ms",
      "stolen",
    ],
    ...phases.map(({ name, seconds, accepted, longestGap, windows, stolen }, index) => [
      name,
      seconds.toFixed(1),
      accepted.p50.toFixed(2),
      accepted.p99.toFixed(2),
      accepted.p999.toFixed(2),
      accepted.max.toFixed(1),
      longestGap.toFixed(1),
      `${(accepted.p99 / quiet).toFixed(2)} ×`,
      Math.max(...windows.map((window) => window.accepted.p99)).toFixed(2),
      (writes[index]?.p99 ?? Number.NaN).toFixed(2),
      (writes[index]?.max ?? Number.NaN).toFixed(1),
      percent(stolen),
    ]),
  ];
  const secondsOf = (task: (typeof TASKS)[number]) =>
    phases.find(({ name }) => name === task)?.seconds ?? Number.NaN;
  const worst = Math.max(
    ...phases.flatMap(({ name, accepted }) =>
      TASKS.some((task) => task === name) ? [accepted.p99 / quiet] : [],
    ),
  );
  const late = Math.max(...phases.map(({ lateness }) => lateness.p99));
  return `
${table(cells)}

most gets a second: ${Math.round(mostPerSecond)}; load's own lateness: p99 at most ${late.toFixed(2)} ms
swept: ${Math.round(options.batch / swept)} sessions a second; ended: ${Math.round(options.batch / secondsOf("end of an app"))} a second; backup: ${Math.round(backupBytes / 1e6 / secondsOf("backup"))} MB a second
server's memory: at most ${memory.toFixed(0)} MiB
p99 during upkeep to quiet, the worst: ${worst.toFixed(2)} (to be at most 2)
`;
}
