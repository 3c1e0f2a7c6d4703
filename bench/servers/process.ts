import { spawn } from "node:child_process";
import { close, open, readFile } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const READY_MS = 20_000;
const STOP_MS = 10_000;

export interface Command {
  /** What messages call it; its output goes to a file of this name. */
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Where its output is kept. */
  readonly dir: string;
}

export type Process = Awaited<ReturnType<typeof startProcess>>;

/**
 * Starts a process. Its output goes to a file, not to a pipe that this process
 * would have to empty on the processor that is being measured.
 */
export async function startProcess({ name, argv, env, cwd, dir }: Command) {
  const path = join(dir, `${name}.log`);
  const fd = await promisify(open)(path, "w");
  const [command, ...args] = argv;
  const child = spawn(command, args, { cwd, env, stdio: ["ignore", fd, fd] });
  await promisify(close)(fd);

  let ended = "";
  const end = new Promise<void>((resolve) => {
    const ends = (how: string) => {
      ended = how;
      resolve();
    };
    child.once("exit", (code, signal) => ends(signal ?? `exit code ${code}`));
    child.once("error", (error) => ends(error.message));
  });
  const output = () => promisify(readFile)(path, "utf8");
  const failure = async (what: string) =>
    new Error(`${name} ${what}\n${(await output()).trimEnd().split("\n").slice(-15).join("\n")}`);

  return {
    pid: child.pid,

    /** The first answer that `find` has for a line of the output. */
    async waitFor<T>(find: (line: string) => T | undefined, signal: AbortSignal): Promise<T> {
      const deadline = performance.now() + READY_MS;
      for (;;) {
        // Noted before the output is read, so that its last line is not missed.
        const endedBefore = ended;
        // The last element is a line still being written, or empty.
        for (const line of (await output()).split("\n").slice(0, -1)) {
          const found = find(line);
          if (found !== undefined) return found;
        }
        if (endedBefore !== "") throw await failure(`ended before it was ready: ${endedBefore}`);
        if (performance.now() > deadline) {
          throw await failure(`was not ready after ${READY_MS / 1000} s`);
        }
        await sleep(20, undefined, { signal });
      }
    },

    /** Throws if the process has ended. */
    async checkRunning(): Promise<void> {
      if (ended !== "") throw await failure(`ended during the round: ${ended}`);
    },

    /** Asks the process to end, then makes it. */
    async stop(): Promise<void> {
      if (ended !== "") return;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await end;
      clearTimeout(timer);
    },
  };
}
