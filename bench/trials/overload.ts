import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fillOnce } from "../data/filled-file.js";
import { checkCalls } from "../load/open-load.js";
import type { Phase, PhaseResult } from "../load/phase.js";
import { residentOf } from "../measure/memory.js";
import { latencyPlot } from "../report/latency-plot.js";
import { checkBuild, noteProvenance, provenanceText, writeResult } from "../report/provenance.js";
import { percent, table } from "../report/table.js";
import { inPlace, type Place, serve } from "../servers/serving.js";
import { parseTrialOptions, type TrialValues } from "../trial-options.js";

const OPTIONS = {
  about: `npm run bench -- overload [options]

Measures what callers meet when far more calls arrive than can be answered: first the most calls a
second that the server answers, then the latency in quiet at half of that, then calls at --times
as many, on many connections, and then half again, until the server is as before. A call for which
all connections are busy is not made, and counted as withheld; those made count from when they
were due. Prints what was accepted and refused, the latencies, memory, and the time to recover.`,
  numbers: {
    times: { normal: 5, smoke: 5, most: 20, means: "the arrivals, by the most that is answered" },
    seconds: { normal: 60, smoke: 2, most: 600, means: "length of the overload" },
    quiet: { normal: 10, smoke: 1, most: 120, means: "length of the quiet before, and after" },
    sessions: { normal: 10_000, smoke: 1_000, most: 1_000_000, means: "sessions" },
    connections: { normal: 1_000, smoke: 200, most: 10_000, means: "connections in overload" },
    "turn-calls": { normal: 256, smoke: 256, most: 10_000, means: "LATCHKEY_TURN_CALLS" },
    steady: { normal: 32, smoke: 8, most: 512, means: "connections at other times" },
  },
  choices: { call: { of: ["get", "set", "create"], means: "what is called over HTTP" } },
  files: {
    plot: "write the latencies over time to an SVG file",
    json: "write the result to a file too",
  },
} as const;

type Options = TrialValues<typeof OPTIONS>;

const WINDOW = 100;
const SAMPLE_MS = 500;

interface Result {
  readonly mostPerSecond: number;
  readonly quiet: PhaseResult;
  readonly overload: PhaseResult;
  readonly after: PhaseResult;
  /** The server's resident memory, MiB: before the overload, at its first tenth, and its most. */
  readonly memory: { readonly before: number; readonly early: number; readonly most: number };
  /** Seconds from the end of the overload until latency was as before; null: it was not. */
  readonly recovered: number | null;
}

/** Runs the trial and prints what it found. */
export async function benchOverload(
  root: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const options = parseTrialOptions(args, OPTIONS);
  if (!options) return;
  const made = await noteProvenance(root, ["overload", ...args]);
  await inPlace({ root, signal }, async (place) => {
    const result = await run(place, options);
    await checkBuild(root, made);
    const { call, times, seconds, sessions, connections } = options;
    const setting = `HTTP ${call}, ${sessions} sessions; ${times} times the most for ${seconds} s on ${connections} connections, LATCHKEY_TURN_CALLS ${options["turn-calls"]}; in quiet half of the most on ${options.steady}`;
    process.stdout.write(textOf(result) + provenanceText(made, setting));
    if (options.plot !== "") {
      const { quiet, overload, after } = result;
      const bound = { name: "3 times the quiet p99", at: 3 * quiet.accepted.p99 };
      const title = `Accepted calls (${call}) before, in and after overload (windows of ${WINDOW} ms)`;
      const picture = latencyPlot(title, [quiet, overload, after], ["overload"], bound);
      await writeFile(options.plot, picture);
    }
    await writeResult(options.json, { ...made, setting, ...result });
  });
}

async function run(place: Place, options: Options): Promise<Result> {
  const { signal, dir } = place;
  const { call, times, seconds, quiet: quietSeconds, sessions, connections, steady } = options;
  const population = { name: "all", count: sessions, apps: 1 };
  const path = join(dir, "all.db");
  await fillOnce({ path, population, expiresAt: null, durable: false }, signal);

  return serve(
    place,
    { path, population, turnCalls: options["turn-calls"] },
    async ({ server, load }) => {
      const base = { call, population, among: sessions, window: WINDOW } as const;
      const few = { ...base, connections: steady, whenBusy: "wait" } as const;
      await load.begin({
        ...{ name: "warm-up", ...few, call: "get", order: "each", rate: null, seconds: null },
      });
      const most = await load.begin({
        ...{ name: "most", ...few, order: "random", rate: null, seconds: Math.min(5, seconds) },
      });
      checkCalls(most, true);
      const mostPerSecond = most.accepted.count / most.seconds;

      const half: Phase = {
        ...{
          name: "quiet",
          ...few,
          order: "random",
          rate: mostPerSecond / 2,
          seconds: quietSeconds,
        },
      };
      const quiet = await load.begin(half);
      checkCalls(quiet);

      const before = residentOf(server.pid);
      const samples: number[] = [];
      const sampling = setInterval(() => samples.push(residentOf(server.pid)), SAMPLE_MS);
      const overload = await load
        .begin({
          ...{ name: "overload", ...base, order: "random", rate: mostPerSecond * times, seconds },
          ...{ connections, whenBusy: "withhold" },
        })
        .finally(() => clearInterval(sampling));
      const after = await load.begin({ ...half, name: "after" });
      checkCalls(after, true);
      const tenth = Math.ceil((seconds * 100) / SAMPLE_MS);
      return {
        mostPerSecond,
        quiet,
        overload,
        after,
        memory: {
          before,
          early: Math.max(...samples.slice(0, tenth)),
          most: Math.max(...samples),
        },
        recovered: recoveryOf(overload, after, 3 * quiet.accepted.p99),
      };
    },
  );
}

/** Seconds from the last call of the overload to the end of the first window in which nothing was
 * refused and the p99 was within the bound. */
function recoveryOf(overload: PhaseResult, after: PhaseResult, bound: number): number | null {
  const good = after.windows.find(
    ({ accepted, refused }) => refused === 0 && accepted.count > 0 && accepted.p99 <= bound,
  );
  return good ? (good.at + WINDOW - overload.at) / 1_000 - overload.seconds : null;
}

function textOf({ mostPerSecond, quiet, overload, after, memory, recovered }: Result): string {
  const cells = [
    [
      "calls",
      "due/s",
      "made/s",
      "accepted/s",
      "p50 ms",
      "p99 ms",
      "p99.9 ms",
      "refused/s",
      "p99 ms of it",
      "failed",
    ],
    ...[quiet, overload, after].map(
      ({ name, seconds, due, withheld, accepted, refused, refusals, failures }) => [
        name,
        whole(due / seconds),
        whole((due - withheld) / seconds),
        whole(accepted.count / seconds),
        accepted.p50.toFixed(2),
        accepted.p99.toFixed(2),
        accepted.p999.toFixed(2),
        whole(refused / seconds),
        refusals.p99.toFixed(2),
        whole(Object.values(failures).reduce((sum, count) => sum + count, 0)),
      ],
    ),
  ];
  const { refused, refusedWithRetryAfter, due, withheld, senderBusy, failures } = overload;
  const made = due - withheld;
  const failed = Object.entries(failures).map(([reason, count]) => `${count} × ${reason}; `);
  return `
${table(cells)}

most that is answered: ${whole(mostPerSecond)} calls a second; the load's own processor was busy ${percent(senderBusy, 0)} of the overload
refused by 429 or 503: ${percent(refused / made)} of those made, of them with retry-after: ${refused === 0 ? "none to count" : percent(refusedWithRetryAfter / refused)}; ${failed.join("")}withheld: ${percent(withheld / due)} of those due
accepted p99 to quiet: ${(overload.accepted.p99 / quiet.accepted.p99).toFixed(2)} (to be at most 3)
server's memory: ${memory.before.toFixed(0)} MiB before, ${memory.early.toFixed(0)} in the first tenth of the overload, at most ${memory.most.toFixed(0)}
recovered: ${recovered === null ? "not" : `${recovered.toFixed(1)} s`} after the overload (to be at most 1)
`;
}

function whole(number: number): string {
  return Math.round(number).toLocaleString("en-US");
}
