import { cp, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Scope } from "../support/process/program.js";
import { fileProblems } from "../support/process/survey.js";
import { createRandom } from "../support/random.js";
import { openQuietly } from "../support/stores/database.js";
import { type DiskFault, describe, drawFault, injected, injector } from "./disk-faults.js";
import { inLanes } from "./lanes.js";
import { type Ledger, ledgerProblems, readLedger } from "./ledger.js";
import type { Way } from "./scribe.js";
import { runScribe, type Written } from "./scribes.js";

export interface FaultOptions {
  /** How many runs must have met a fault. */
  readonly points: number;
  readonly lanes: number;
  readonly seed: number;
  readonly folder: string;
  /** How the store writes, if not as a server does. */
  readonly way?: Way;
  /** Told of each run that met a fault. */
  readonly met: (points: number) => void;
}

export interface FaultReport {
  readonly points: number;
  /** Runs that met none: they ended before. */
  readonly missed: number;
  /** Calls that failed. */
  readonly injected: number;
  /** Over all runs: writes answered, refused as not carried out, and as uncertain. */
  readonly answered: number;
  readonly refused: number;
  readonly unknown: number;
  /** Runs in which the store could not be opened. */
  readonly unopened: number;
  readonly problems: readonly string[];
}

const CALLS = 90;
const REACH = { syncs: 24, writes: 400 };

/**
 * Has processes that write to a store meet faults of the disk, one each, and compares what a
 * store on a healthy disk finds after it with what each was answered.
 */
export async function meetFaults(scope: Scope, options: FaultOptions): Promise<FaultReport> {
  const { points, lanes, seed, folder, way, met } = options;
  const random = createRandom(seed);
  const template = join(folder, "template");
  const base = await write(template);
  const before = readLedger(base).answered;
  const sum = { points: 0, missed: 0, injected: 0, answered: 0, refused: 0, unknown: 0 };
  let unopened = 0;
  const problems: string[] = [];

  /** A database whose last server was killed. */
  async function write(to: string): Promise<readonly string[]> {
    await mkdir(to);
    const path = join(to, "latchkey.db");
    const { lines, status } = await runScribe(scope, {
      ...{ path, seed, calls: 200, first: 0, isKilled: true },
    });
    if (status !== 137) throw new Error(`the scribe ended with ${status}`);
    await rm(`${path}-shm`);
    return lines;
  }

  /** Every other log is so short that it is copied now and then. */
  const wayOf = (point: number): { readonly way?: Way } => {
    if (way) return { way };
    return point % 2 === 0 ? {} : { way: "short logs" };
  };

  await inLanes(points, lanes, async (point) => {
    for (let isMet = false; !isMet && problems.length === 0; ) {
      const disk = drawFault(random, REACH);
      const own = join(folder, `point ${point}`);
      await cp(template, own, { recursive: true });
      const path = join(own, "latchkey.db");
      const trace = join(own, "trace");
      const written = await runScribe(
        scope,
        { path, seed: random(2 ** 31), calls: CALLS, first: 1_000, ...wayOf(point) },
        injector(disk, { files: [path, `${path}-wal`], trace }),
      );
      const failed = injected(await readFile(trace, "utf8"));
      isMet = failed > 0;
      const ledger = readLedger([...base, ...written.lines]);
      const found = [
        ...behaviour(disk, written, ledger, isMet),
        ...ledger.problems,
        ...(await afterRestart(path, ledger)),
      ];
      for (const problem of found) problems.push(`seed ${seed}, ${describe(disk)}: ${problem}`);
      if (written.status !== 0) unopened++;
      sum.points += isMet ? 1 : 0;
      sum.missed += isMet ? 0 : 1;
      sum.injected += failed;
      sum.answered += ledger.answered - before;
      sum.refused += ledger.refused;
      sum.unknown += ledger.unknown;
      await rm(own, { recursive: true });
    }
    met(sum.points);
  });
  return { ...sum, unopened, problems };
}

/** What a process did that it must not do after such a fault. */
function behaviour(
  { calls, error }: DiskFault,
  { status, stderr, lines }: Written,
  { unknown, refused }: Ledger,
  isMet: boolean,
): string[] {
  const problems: string[] = [];
  if (status !== 0 && !(isMet && lines.length === 0 && /cannot use .*latchkey\.db/.test(stderr))) {
    problems.push(`the process ended with ${status}: ${stderr}`);
  }
  if (!isMet && unknown + refused > 0) problems.push("refused without a fault");
  // What did not fit fails by itself.
  if (calls === "pwrite64" && error === "ENOSPC" && unknown > 0) {
    problems.push("a full disk left writes uncertain");
  }
  return problems;
}

/** What a store on a healthy disk contradicts. */
async function afterRestart(path: string, ledger: Ledger): Promise<string[]> {
  const store = openQuietly(path);
  try {
    return [...(await ledgerProblems(ledger, store)), ...fileProblems(path)];
  } finally {
    await store.close();
  }
}
