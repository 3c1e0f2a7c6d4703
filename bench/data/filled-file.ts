import { fork } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { readFile, statfs, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import type { Filling } from "./fill.js";

/** Bytes of disk that a session may take while a file is filled, its log included. */
const BYTES = 1_024;

/** What filling took. */
export interface Filled {
  readonly seconds: number;
  readonly bytesPerSession: number;
}

/** Adds a population to the database at a path, which is made if missing. */
export async function fill(filling: Filling, signal: AbortSignal): Promise<Filled> {
  const { path, population } = filling;
  const { bavail, bsize } = await statfs(dirname(path));
  if (bavail * bsize < population.count * BYTES) {
    throw new Error(`filling ${path} needs ${toGiB(population.count * BYTES)} GiB of free disk`);
  }
  const before = sizeOf(path);
  const start = performance.now();
  const child = fork(fileURLToPath(new URL("./fill.ts", import.meta.url)), {
    execArgv: ["--import", "tsx"],
    signal,
  });
  let told = start;
  await new Promise<void>((resolve, reject) => {
    child.on("message", (count) => {
      if (performance.now() - told < 10_000) return;
      told = performance.now();
      process.stderr.write(`filling ${population.name}: ${count} of ${population.count}\n`);
    });
    child.once("error", reject);
    child.once("exit", (code, by) => {
      if (code === 0) resolve();
      else reject(new Error(`filling ${path} ended by ${by ?? `exit code ${code}`}`));
    });
    child.send(filling);
  });
  const seconds = (performance.now() - start) / 1_000;
  return { seconds, bytesPerSession: (sizeOf(path) - before) / population.count };
}

/**
 * Fills a new file with one population, and notes that beside it; or finds it filled so already,
 * and answers what that took then. Rejects if something else is at the path.
 */
export async function fillOnce(filling: Filling, signal: AbortSignal): Promise<Filled> {
  const { path, population, durable } = filling;
  const note = `${path}.filled.json`;
  const wanted = { population, durable };
  if (existsSync(note)) {
    const { made, filled } = JSON.parse(await readFile(note, "utf8")) as {
      made: unknown;
      filled: Filled;
    };
    if (isDeepStrictEqual(made, wanted)) return filled;
    const [is, not] = [made, wanted].map((one) => JSON.stringify(one));
    throw new Error(`${path} holds other sessions: ${is}, not ${not}`);
  }
  if (existsSync(path)) throw new Error(`${path} was not filled by a trial that was finished`);
  const filled = await fill(filling, signal);
  await writeFile(note, `${JSON.stringify({ made: wanted, filled })}\n`);
  return filled;
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function toGiB(bytes: number): string {
  return (bytes / 1024 ** 3).toFixed(1);
}
