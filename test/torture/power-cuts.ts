import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Scope } from "../support/process/program.js";
import { fileProblems } from "../support/process/survey.js";
import { createRandom } from "../support/random.js";
import { openQuietly } from "../support/stores/database.js";
import { ledgerProblems, readLedger } from "./ledger.js";
import type { ScribeOptions, Way } from "./scribe.js";
import { runScribe } from "./scribes.js";
import { readTrace, type Timed, tracer } from "./trace.js";
import { CUTS, createVolume } from "./volume.js";

export interface PowerOptions {
  /** How many times the power is cut. */
  readonly cuts: number;
  readonly seed: number;
  readonly folder: string;
  /** How the store writes, if not as a server does. */
  readonly way?: Way;
  /** Told of each cut. */
  readonly cut: (cuts: number) => void;
}

export interface PowerReport {
  readonly cuts: number;
  /** Calls of the traced processes. */
  readonly writes: number;
  readonly syncs: number;
  readonly failedSyncs: number;
  readonly answered: number;
  readonly problems: readonly string[];
}

/** One process after the other, over one file. */
interface Part extends Pick<ScribeOptions, "calls" | "isKilled" | "way"> {
  /** From which of each thread's syncs on all fail; of the copies of the log only, or of all. */
  readonly failsFrom?: { readonly copy: number } | { readonly any: number };
}

/** Logs are begun, copied, copied in vain, begun anew, left by a kill, and by a disk that failed. */
const PARTS: readonly Part[] = [
  { calls: 60 },
  { calls: 150, way: "short logs" },
  { calls: 150, way: "short logs", failsFrom: { copy: 1 } },
  { calls: 60, isKilled: true },
  { calls: 90, failsFrom: { any: 9 }, isKilled: true },
  { calls: 90, isKilled: true },
];

/**
 * Traces processes that write to a store, rebuilds what a power cut at any moment may leave of
 * the files, and compares what a store finds there with what had been answered by then.
 */
export async function cutPower(scope: Scope, options: PowerOptions): Promise<PowerReport> {
  const { cuts, seed, folder, way, cut } = options;
  const random = createRandom(seed);
  const steps = await traceAll(scope, options);
  const counted = (what: Timed["what"]) => steps.filter((step) => step.what === what);
  const syncs = counted("sync").filter((step) => "isDone" in step && step.isDone).length;
  const left = Array.from({ length: cuts }, () => random(steps.length)).sort((a, b) => a - b);
  const volume = createVolume();
  const problems: string[] = [];
  /** What was told by each pipe. */
  const told = new Map<string, string>();
  let made = 0;
  for (const [index, step] of steps.entries()) {
    volume.add(step);
    if (step.what === "answer") told.set(step.to, (told.get(step.to) ?? "") + step.data.toString());
    for (; left[0] === index && problems.length === 0; left.shift()) {
      const how = CUTS[random(CUTS.length)] ?? "anything";
      const there = join(folder, "after");
      await mkdir(there);
      for (const [path, content] of volume.cut(how, random)) {
        await writeFile(join(there, basename(path)), content);
      }
      for (const problem of await contradictions(join(there, "latchkey.db"), linesOf(told))) {
        problems.push(`seed ${seed}, ${way ?? ""} cut at ${step.at}, ${how} kept: ${problem}`);
      }
      await rm(there, { recursive: true });
      cut(++made);
    }
  }
  const { answered } = readLedger(linesOf(told));
  const failedSyncs = counted("sync").length - syncs;
  const writes = counted("write").length;
  return { cuts: made, writes, syncs, failedSyncs, answered, problems };
}

/** SQLite's own syncs are none of data only. */
const failing = (from: NonNullable<Part["failsFrom"]>): string =>
  "copy" in from
    ? `fdatasync:error=EIO:when=${from.copy}`
    : `fsync,fdatasync:error=EIO:when=${from.any}`;

async function traceAll(scope: Scope, { folder, seed, way }: PowerOptions): Promise<Timed[]> {
  const steps: Timed[] = [];
  const path = join(folder, "data", "latchkey.db");
  for (const [index, { failsFrom, ...part }] of PARTS.entries()) {
    const file = join(folder, "trace");
    const inject = failsFrom ? ["-e", `inject=${failing(failsFrom)}+`] : [];
    const { status, stderr } = await runScribe(
      scope,
      { path, seed: seed + index, first: index * 1_000, ...part, ...(way ? { way } : {}) },
      tracer(file, inject),
    );
    if (status !== (part.isKilled ? 137 : 0)) throw new Error(`a scribe ended: ${stderr}`);
    const from = steps.at(-1)?.at ?? 0;
    steps.push(...readTrace(await readFile(file, "utf8"), folder, from));
  }
  return steps;
}

/** What a store over the file contradicts of what was told before the cut. */
async function contradictions(path: string, lines: readonly string[]): Promise<string[]> {
  const ledger = readLedger(lines);
  try {
    const store = openQuietly(path);
    try {
      return [...(await ledgerProblems(ledger, store)), ...fileProblems(path)];
    } finally {
      await store.close();
    }
  } catch (error) {
    return [`it cannot be used: ${error}`];
  }
}

/** The lines that scribes told; other programs' pipes are traced as well. */
function linesOf(told: ReadonlyMap<string, string>): string[] {
  return [...told.values()]
    .flatMap((text) => text.split("\n"))
    .filter((line) => /^(ask|done|refused|unknown|fatal|error)\b/.test(line));
}
