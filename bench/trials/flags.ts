import { SERVER_FLAGS } from "../../src/cli/runtime.js";
import { noteProvenance, provenanceText, writeResult } from "../report/provenance.js";
import { median } from "../report/report.js";
import { table } from "../report/table.js";
import { parseTrialOptions } from "../trial-options.js";
import { TRIALS } from "./comparisons.js";
import { type Measured, runRound } from "./round.js";

const OPTIONS = {
  about: `npm run bench -- flags [options]

Shows what each of the server's flags of V8 buys: gets and creates over HTTP with all of them, with
each one at Node's own value, and with all at Node's own.`,
  numbers: {
    seconds: { normal: 5, smoke: 1, most: 60, means: "length of a round" },
    rounds: { normal: 5, smoke: 1, most: 50, means: "rounds of each" },
    connections: { normal: 32, smoke: 8, most: 1_000, means: "calls in flight" },
  },
  files: { json: "write the result to a file too" },
} as const;

/** What Node does where a flag is not given; 0 leaves it to V8. */
const NODES_OWN: Readonly<Record<string, string>> = {
  "--max-semi-space-size": "0",
  "--v8-pool-size": "4",
  "--heap-growing-percent": "0",
  "--initial-old-space-size": "0",
};

/** Runs the trial and prints what it found. */
export async function benchFlags(
  root: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const options = parseTrialOptions(args, OPTIONS);
  if (!options) return;
  const { seconds, connections } = options;
  const made = await noteProvenance(root, ["flags", ...args]);
  const variants = new Map([
    ["all", SERVER_FLAGS],
    ...SERVER_FLAGS.map((flag) => [`without ${nameOf(flag)}`, replace(nameOf(flag))] as const),
    ["none", SERVER_FLAGS.map(nodesOwn)],
  ]);
  const results: { trial: string; variant: string; rounds: readonly Measured[] }[] = [];
  for (const trial of TRIALS.filter(({ name }) => name === "http-get" || name === "http-create")) {
    const rounds = new Map([...variants.keys()].map((variant) => [variant, [] as Measured[]]));
    for (let round = 1; round <= options.rounds; round++) {
      // In turns, so that a slow spell meets all.
      for (const [variant, measured] of rounds) {
        measured.push(
          await runRound({
            ...{ trial, server: "latchkey", seconds, connections, root, signal },
            ...{ rate: 2_000, sessions: 1_000, bytes: 0, store: "sqlite" },
            flags: variants.get(variant) ?? [],
          }),
        );
      }
    }
    for (const [variant, measured] of rounds) {
      results.push({ trial: trial.name, variant, rounds: measured });
    }
  }
  const setting = `rounds: ${options.rounds} of ${seconds} s, in turn; calls in flight: ${connections}`;
  process.stdout.write(`\n${textOf(results)}\n${provenanceText(made, setting)}`);
  await writeResult(options.json, { ...made, setting, results });
}

const nameOf = (flag: string) => flag.slice(0, flag.indexOf("="));
const nodesOwn = (flag: string) => `${nameOf(flag)}=${NODES_OWN[nameOf(flag)]}`;
const replace = (name: string) =>
  SERVER_FLAGS.map((flag) => (nameOf(flag) === name ? nodesOwn(flag) : flag));

function textOf(
  results: readonly { trial: string; variant: string; rounds: readonly Measured[] }[],
): string {
  return table([
    ["trial", "flags", "calls/s", "CPU µs a call", "p99 ms", "p99 ms at 2,000/s"],
    ...results.map(({ trial, variant, rounds }) => {
      const middle = (of: (round: Measured) => number) => median(rounds.map(of));
      return [
        trial,
        variant,
        Math.round(middle(({ callsPerSecond }) => callsPerSecond)).toLocaleString("en-US"),
        middle(({ cpuMicros }) => cpuMicros).toFixed(1),
        middle(({ p99 }) => p99).toFixed(2),
        middle(({ steady }) => steady?.p99 ?? Number.NaN).toFixed(2),
      ];
    }),
  ]);
}
