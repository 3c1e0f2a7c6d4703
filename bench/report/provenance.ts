import { writeFile } from "node:fs/promises";
import { cpus, loadavg, release, type } from "node:os";
import { type ProcessorTime, readProcessorTime, stolenSince } from "../measure/stolen-time.js";
import { fingerprintBuild } from "./build.js";
import { percent } from "./table.js";

/** How a result came about. */
export interface Provenance {
  readonly command: string;
  readonly build: string;
  readonly machine: string;
  readonly load: string;
  /** When it began. */
  readonly processors: ProcessorTime;
}

/** Notes, before a run, what it is made by: `args` are those of `npm run bench --`. */
export async function noteProvenance(root: string, args: readonly string[]): Promise<Provenance> {
  return {
    command: ["npm run bench --", ...args].join(" "),
    build: await fingerprintBuild(root),
    machine: machine(new Date()),
    load: `load average before the run: ${loadavg()[0]?.toFixed(2)}`,
    processors: readProcessorTime(),
  };
}

/** Throws if the build is another than the one noted. */
export async function checkBuild(root: string, { build }: Provenance): Promise<void> {
  if ((await fingerprintBuild(root)) !== build) {
    throw new Error("dist was rebuilt during the run: its rounds measured different programs");
  }
}

/** The lines that end a trial's output. */
export function provenanceText(made: Provenance, setting: string): string {
  return `\nMade by: ${made.command} (build ${made.build})\n${setting}\n${made.machine}; ${made.load}; stolen by the machine's host: ${percent(stolenSince(made.processors))}\n`;
}

/** Writes a result, and how it came about, to a file; to none if `path` is empty. */
export async function writeResult(path: string, result: object): Promise<void> {
  if (path !== "") await writeFile(path, `${JSON.stringify(result, null, 2)}\n`);
}

/** The machine in one line. */
export function machine(date: Date): string {
  const processors = cpus();
  const model = processors[0]?.model ?? "unknown processor";
  return `${model}, ${processors.length} cores, ${type()} ${release()}, Node ${process.versions.node}, ${date.toISOString().slice(0, 10)}`;
}
