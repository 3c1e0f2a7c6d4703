import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { help, type Options, parseOptions } from "./options.js";
import { TRIALS_BY_NAME } from "./trials.js";

async function main(options: Options): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-torture-"));
  const ends: (() => unknown)[] = [];
  const begun = performance.now();
  const say = (line: string) => process.stdout.write(`${line}\n`);
  try {
    const scope = { after: (work: () => unknown) => void ends.push(work) };
    const problems = await TRIALS_BY_NAME[options.trial]({ ...options, scope, folder, say });
    const seconds = Math.round((performance.now() - begun) / 1000);
    for (const problem of problems.slice(0, 20)) say(problem);
    const isFound = problems.length > 0;
    const verdict = options.control
      ? isFound
        ? "the control was found out, as it must be"
        : "THE CONTROL WAS NOT FOUND OUT"
      : isFound
        ? `FAILED: ${problems.length} problems`
        : "passed";
    say(`${options.trial}, seed ${options.seed}: ${verdict}, after ${seconds} s`);
    return isFound === options.control;
  } finally {
    for (const end of ends) await end();
    await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (!options) process.stdout.write(help());
  else if (!(await main(options))) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`torture: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
