import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { startLoad } from "../support/process/load.js";
import { type Model, settle } from "../support/process/model.js";
import { type Scope, startProgram } from "../support/process/program.js";
import { BIN, FREE_PORTS, ROOT, serverOf, startServer } from "../support/process/server.js";
import { survey } from "../support/process/survey.js";
import { createRandom } from "../support/random.js";
import { type DiskFault, describe, drawFault, injected, injector } from "./disk-faults.js";
import type { FaultOptions } from "./faults.js";
import { inLanes } from "./lanes.js";

export interface ServerFaultReport {
  readonly points: number;
  /** Runs that met no fault. */
  readonly missed: number;
  /** Calls that were answered. */
  readonly answered: number;
  /** Servers that ended with status 1, as one must whose disk failed. */
  readonly ended: number;
  readonly problems: readonly string[];
}

const CALLS = 800;
const REACH = { syncs: 60, writes: 900 };

/** Has servers under load meet faults of the disk, one each, as `meetFaults` has stores. */
export async function meetFaultsAsServer(
  scope: Scope,
  { points, lanes, seed, folder, met }: Omit<FaultOptions, "way">,
): Promise<ServerFaultReport> {
  const random = createRandom(seed);
  const sum = { points: 0, missed: 0, answered: 0, ended: 0 };
  const problems: string[] = [];

  await inLanes(points, lanes, async (point) => {
    for (let isMet = false; !isMet && problems.length === 0; ) {
      const fault = drawFault(random, REACH);
      const own = join(folder, `server ${point}`);
      await mkdir(own);
      const path = join(own, "latchkey.db");
      const env = { LATCHKEY_STORE: `sqlite:${path}` };
      // So that faults are met by calls, not by the making of the file.
      const first = await startServer(scope, env);
      await first.stop();

      const trace = join(own, "trace");
      const files = [path, `${path}-wal`];
      const settings = { ...FREE_PORTS, ...env };
      const [command = "", ...args] = [
        ...injector(fault, { files, trace }),
        ...[process.execPath, BIN, "serve"],
      ];
      const program = startProgram(scope, {
        ...{ argv: [command, ...args], cwd: ROOT, env: settings, hasChildren: true },
      });
      const model: Model = new Map();
      const wrong: string[] = [];
      let isServing = true;
      const server = await serverOf(program, settings).catch(() => {
        isServing = false;
        return null;
      });
      if (server) {
        const load = startLoad(server, model, random);
        await load.more(CALLS);
        load.stop();
        wrong.push(...(await load.end));
        sum.answered += load.answered();
        // To the server: a tracer takes no signals.
        if (program.pid !== undefined) stopGroup(program.pid);
      }
      const { status } = await program.end;
      const log = server?.log() ?? [];
      isMet = injected(await readFile(trace, "utf8")) > 0;
      if (isServing) wrong.push(...endingProblems(fault, status, log, isMet));
      else if (!isMet) wrong.push(`it did not start: ${program.output.stderr}`);
      if (status === 1) sum.ended++;

      const restarted = await startServer(scope, env);
      const { found, problems: contradictions } = await survey(restarted, path, model);
      settle(model, found);
      await restarted.stop();
      for (const problem of [...wrong, ...contradictions]) {
        problems.push(`seed ${seed}, server, ${describe(fault)}: ${problem}`);
      }
      sum.points += isMet ? 1 : 0;
      sum.missed += isMet ? 0 : 1;
      await rm(own, { recursive: true });
    }
    met(sum.points);
  });
  return { ...sum, problems };
}

function stopGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGTERM");
  } catch {
    // It has ended by itself.
  }
}

/** What is wrong with how a server ended: a disk that failed ends it, and it says so once. */
function endingProblems(
  { calls, error }: DiskFault,
  status: number | null,
  log: readonly Readonly<Record<string, unknown>>[],
  isMet: boolean,
): string[] {
  const fatal = log.filter(({ level }) => level === 60).length;
  if (status === 0 && fatal === 0) return [];
  const isFull = calls === "pwrite64" && error === "ENOSPC";
  if (isMet && !isFull && status === 1 && fatal === 1) return [];
  // Touches that a full disk did not take.
  const saysSo = log.some(({ msg }) => msg === "stopped, with a failure");
  if (isMet && isFull && status === 1 && fatal === 0 && saysSo) return [];
  return [`it ended with ${status}, and ${fatal} fatal lines`];
}
