import { once } from "node:events";
import { watch } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { type Load, startLoad } from "../support/process/load.js";
import { type Known, type Model, settle } from "../support/process/model.js";
import type { Scope } from "../support/process/program.js";
import { FREE_PORTS, type Server, startLatchkey, startServer } from "../support/process/server.js";
import { survey } from "../support/process/survey.js";
import { createRandom, type Random } from "../support/random.js";

/** A kill comes after at most so many calls and then milliseconds. */
const CALLS = 300;
const MILLISECONDS = 10;

/** Every so many kills, the next server is killed as well, while it recovers the file. */
const KILLED_STARTS = 10;

/** Every so many kills, all of the file is checked, and not only what the server says of it. */
const CHECKED_FILES = 20;

export interface KillOptions {
  readonly kills: number;
  /** How many servers are under load at once, each over a file of its own. */
  readonly lanes: number;
  readonly seed: number;
  /** Where the files go. */
  readonly folder: string;
  /** Of the servers. */
  readonly env: Readonly<Record<string, string>>;
  /** Told of each kill. */
  readonly killed: (kills: number) => void;
}

export interface KillReport {
  readonly kills: number;
  /** Calls that were answered. */
  readonly answered: number;
  /** Writes that were under way at a kill: what became of them, nobody knows. */
  readonly unanswered: number;
  /** What servers said or kept that contradicts what they had answered; the kills end with it. */
  readonly problems: readonly string[];
}

/** Kills servers under load and compares what is left with what was answered. */
export async function torture(scope: Scope, options: KillOptions): Promise<KillReport> {
  const { kills, lanes, seed, folder, killed } = options;
  const problems: string[] = [];
  let begun = 0;
  let answered = 0;
  let unanswered = 0;

  const runLane = async (lane: number) => {
    const random = createRandom(seed + lane);
    const path = join(folder, `lane ${lane}`, "latchkey.db");
    await mkdir(dirname(path));
    const env = { ...options.env, LATCHKEY_STORE: `sqlite:${path}` };
    const model: Model = new Map();
    let server = await startServer(scope, env);
    for (let own = 1; begun < kills && problems.length === 0; own++) {
      const kill = ++begun;
      const load = startLoad(server, model, random);
      const wrong = await killUnderLoad(server, load, random);
      answered += load.answered();
      unanswered += [...model.values()].filter(isUnanswered).length;

      if (own % KILLED_STARTS === 0) await killWhileStarting(scope, env, path, random);
      server = await startServer(scope, env);
      const isLast = begun >= kills;
      const file = isLast || own % CHECKED_FILES === 0;
      const { found, problems: contradictions } = await survey(server, path, model, { file });
      for (const one of [...wrong, ...contradictions]) {
        problems.push(`seed ${seed}, kill ${kill}: ${one}`);
      }
      settle(model, found);
      forget(model);
      killed(kill);
    }
    await server.stop("SIGKILL");
  };
  await Promise.all(Array.from({ length: lanes }, (_, lane) => runLane(lane)));
  return { kills: begun, answered, unanswered, problems };
}

/** Kills the server at a moment of the load, and answers what was wrong until then. */
export async function killUnderLoad(
  server: Server,
  load: Load,
  random: Random,
): Promise<readonly string[]> {
  await load.more(random(CALLS));
  await wait(random(MILLISECONDS));
  const { status, signal } = await server.stop("SIGKILL");
  const problems = await load.end;
  if (signal === "SIGKILL") return problems;
  return [...problems, `the server ended with ${status ?? signal} before it was killed`];
}

/** Starts a server and kills it once it has begun to work on the file. */
async function killWhileStarting(
  scope: Scope,
  env: Readonly<Record<string, string>>,
  path: string,
  random: Random,
): Promise<void> {
  const watcher = watch(dirname(path));
  const changed = once(watcher, "change");
  const program = startLatchkey(scope, ["serve"], { ...FREE_PORTS, ...env });
  await Promise.race([changed, program.waitFor(() => program.output.stdout || undefined)]);
  watcher.close();
  await wait(random(MILLISECONDS));
  program.signal("SIGKILL");
  await program.end;
}

function isUnanswered({ presence, counters, rotations }: Known): boolean {
  if (presence !== "there") return presence !== "ended";
  return [...counters.values(), rotations].some(({ answered, sent }) => sent > answered);
}

/** Long runs keep no more than the ends of sessions that tokens were asked for again. */
function forget(model: Model): void {
  for (const known of model.values()) {
    if (known.presence === "ended") known.counters.clear();
  }
}
