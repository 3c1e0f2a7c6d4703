import { join } from "node:path";
import { startLoad } from "../support/process/load.js";
import { type Model, settle } from "../support/process/model.js";
import type { Scope } from "../support/process/program.js";
import { startServer } from "../support/process/server.js";
import { survey } from "../support/process/survey.js";
import { createRandom } from "../support/random.js";

/** A server is stopped after at most so many calls. */
const CALLS = 300;

export interface StartOptions {
  readonly starts: number;
  readonly seed: number;
  /** Where the file goes. */
  readonly folder: string;
  /** Told of each start. */
  readonly started: (starts: number) => void;
}

export interface StartReport {
  readonly starts: number;
  /** Calls that were answered. */
  readonly answered: number;
  /** Servers that ended otherwise than by their own decision, and what they contradicted. */
  readonly problems: readonly string[];
}

/** Starts a server over one file again and again, loads it, and stops it by SIGTERM. */
export async function startOften(scope: Scope, options: StartOptions): Promise<StartReport> {
  const random = createRandom(options.seed);
  const path = join(options.folder, "latchkey.db");
  const env = { LATCHKEY_STORE: `sqlite:${path}` };
  const model: Model = new Map();
  const problems: string[] = [];
  let answered = 0;
  for (let start = 1; start <= options.starts; start++) {
    const server = await startServer(scope, env);
    const { found, problems: contradictions } = await survey(server, path, model, { file: false });
    settle(model, found);
    const load = startLoad(server, model, random);
    await load.more(random(CALLS));
    const { status, signal } = await server.stop("SIGTERM");
    problems.push(...contradictions, ...(await load.end));
    if (status !== 0) problems.push(`start ${start} ended with ${status ?? signal}`);
    answered += load.answered();
    options.started(start);
  }
  return { starts: options.starts, answered, problems };
}
