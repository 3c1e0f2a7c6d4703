import { accessSync, constants } from "node:fs";
import { writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { benchHeavyUser } from "./hostile/heavy-trial.js";
import { benchStrangers } from "./hostile/strangers-trial.js";
import { help, type Options, parseOptions } from "./options.js";
import { checkBuild, noteProvenance, provenanceText } from "./report/provenance.js";
import { type Rounds, rowsOf, tableOf } from "./report/report.js";
import { programsOf, type Trial } from "./trials/comparisons.js";
import { benchFlags } from "./trials/flags.js";
import { benchGenerator } from "./trials/generator.js";
import { benchOverload } from "./trials/overload.js";
import { runRound } from "./trials/round.js";
import { benchScale } from "./trials/scale.js";
import { runStreams, STREAM_TRIAL, streamTable } from "./trials/streams.js";
import { benchUpkeep } from "./trials/upkeep.js";
import { benchWatch } from "./trials/watch.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Those that are no comparison of servers, so they have rounds and options of their own. */
const OWN_TRIALS: ReadonlyMap<
  string,
  (root: string, args: readonly string[], signal: AbortSignal) => Promise<void>
> = new Map([
  ["watch", benchWatch],
  ["scale", benchScale],
  ["upkeep", benchUpkeep],
  ["overload", benchOverload],
  ["generator", benchGenerator],
  ["flags", benchFlags],
  ["strangers", benchStrangers],
  ["heavy-user", benchHeavyUser],
]);

async function bench(args: readonly string[], signal: AbortSignal): Promise<void> {
  const options = parseOptions(args);
  if (!options) {
    process.stdout.write(help());
    return;
  }
  requirePrograms([
    ...programsOf(options.trials),
    ...(options.streams ? [["openssl", "openssl"] as const] : []),
  ]);
  const made = await noteProvenance(ROOT, args);
  const setting = `rounds: ${options.rounds} of ${options.seconds} s, the servers in turn; calls in flight: ${options.connections}; sessions: ${options.sessions}${options.bytes > 0 ? `, over HTTP with ${options.bytes} bytes more of data` : ""}; steady load: ${options.rate} calls a second; Latchkey's store: ${options.store}`;
  const results: { trial: string; rows: readonly object[] }[] = [];
  const report = async (
    { name, about }: { readonly name: string; readonly about: string },
    rows: readonly object[],
    table: string,
  ) => {
    await checkBuild(ROOT, made);
    results.push({ trial: name, rows });
    process.stdout.write(`\n${name}: ${about}\n\n${table}\n`);
  };
  for (const trial of options.trials) {
    const rows = rowsOf(await runTrial(trial, options, signal));
    await report(trial, rows, tableOf(rows));
  }
  if (options.streams) {
    const { mebibytes, rounds, store } = options;
    const rows = await runStreams({ root: ROOT, mebibytes, rounds, store, signal });
    await report(STREAM_TRIAL, rows, `${streamTable(rows)}\n\nstreams of ${mebibytes} MiB`);
  }
  process.stdout.write(provenanceText(made, setting));
  if (options.json !== "") {
    await writeFile(options.json, `${JSON.stringify({ ...made, setting, results }, null, 2)}\n`);
  }
}

/** Runs all rounds of a trial, the servers taking turns so that a slow spell meets all. */
async function runTrial(trial: Trial, options: Options, signal: AbortSignal): Promise<Rounds> {
  const { seconds, connections, sessions, bytes, rate, store } = options;
  const rounds: Rounds = new Map(trial.servers.map((server) => [server, []]));
  for (let round = 1; round <= options.rounds; round++) {
    for (const [server, measured] of rounds) {
      const where = `${trial.name}, round ${round} of ${options.rounds}, ${server}`;
      try {
        const measurement = await runRound({
          ...{ trial, server, seconds, connections, sessions, bytes, rate, store, signal },
          root: ROOT,
        });
        measured.push(measurement);
        process.stderr.write(`${where}: ${Math.round(measurement.callsPerSecond)} calls/s\n`);
      } catch (error) {
        throw new Error(`${where}: ${messageOf(error)}`, { cause: error });
      }
    }
  }
  return rounds;
}

/** Each program with the Debian package that has it. */
function requirePrograms(programs: readonly (readonly [string, string])[]): void {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const isInstalled = (program: string) =>
    folders.some((folder) => {
      try {
        accessSync(join(folder, program), constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
  for (const [program, debianPackage] of programs) {
    if (!isInstalled(program)) {
      throw new Error(`${program} is missing: install the package ${debianPackage}`);
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => stop.abort(new Error(`stopped by ${name}`)));
}
try {
  const [first = "", ...rest] = process.argv.slice(2);
  const ownTrial = OWN_TRIALS.get(first);
  if (ownTrial) await ownTrial(ROOT, rest, stop.signal);
  else await bench(process.argv.slice(2), stop.signal);
} catch (error) {
  const shown: unknown = stop.signal.aborted ? stop.signal.reason : error;
  process.stderr.write(`bench: ${messageOf(shown)}\n`);
  process.exitCode = 1;
}
