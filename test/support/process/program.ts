import { spawn } from "node:child_process";

/** What programs and folders must not outlive: a test, or a run. */
export interface Scope {
  /** Has `work` done at its end. */
  after(work: () => unknown): void;
}

/** How a program ended: by itself with a status, or by a signal. */
export interface Ending {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program that lives longer (ms) hangs, and is killed, so that its test fails; unless told. */
const LIFETIME = 120_000;

export interface ProgramOptions {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  /** What its environment has beside this process's own, which is cleared of settings. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether it has a standard input to `write` to; else that is empty. */
  readonly hasInput?: boolean;
  /** Whether it starts programs of its own that must not outlive the test. */
  readonly hasChildren?: boolean;
  /** Milliseconds after which it must have ended. */
  readonly lifetime?: number;
}

export type Program = ReturnType<typeof startProgram>;

/** Starts a program that ends with the test at the latest. */
export function startProgram(t: Scope, options: ProgramOptions) {
  const { argv, cwd, env, hasInput = false, hasChildren = false, lifetime = LIFETIME } = options;
  const [command, ...args] = argv;
  const child = spawn(command, args, {
    cwd,
    env: { ...plainEnvironment(), ...env },
    stdio: [hasInput ? "pipe" : "ignore", "pipe", "pipe"],
    // A group of its own, so that all of it can be killed at once.
    detached: hasChildren,
  });
  // A program may end without having read its input.
  child.stdin?.on("error", () => undefined);
  const output = { stdout: "", stderr: "" };
  const watchers = new Set<() => void>();
  const changed = () => {
    for (const watcher of watchers) watcher();
  };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
      changed();
    });
  }

  let ending: Ending | undefined;
  const kill = () => {
    if (ending || child.pid === undefined) return;
    if (hasChildren) process.kill(-child.pid, "SIGKILL");
    else child.kill("SIGKILL");
  };
  // Else what this process is ended by would leave the program behind.
  const exit = () => process.exit(1);
  const hooks = [
    ["exit", kill],
    ["SIGINT", exit],
    ["SIGTERM", exit],
  ] as const;
  for (const [event, hook] of hooks) process.once(event, hook);
  const timer = setTimeout(kill, lifetime);
  // `close` comes when nobody holds its output any more: it and its children have ended.
  const end = new Promise<Ending>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => {
      ending = { status, signal };
      for (const [event, hook] of hooks) process.off(event, hook);
      clearTimeout(timer);
      resolve(ending);
      changed();
    });
  });
  t.after(async () => {
    // A program that reads its input ends with it, and takes its files away; the timer sees to it.
    if (hasInput && child.stdin) child.stdin.end();
    else kill();
    await end;
  });

  return {
    pid: child.pid,
    output: output as Readonly<typeof output>,
    /** Settles when it and its children have ended. */
    end,
    /** Writes to its standard input, which stays open. */
    write(text: string) {
      child.stdin?.write(text);
    },
    endInput() {
      child.stdin?.end();
    },
    signal(name: NodeJS.Signals) {
      child.kill(name);
    },
    /** The first answer of `find` to the output that is not undefined; rejects if the program ends before. */
    waitFor<T>(find: () => T | undefined): Promise<T> {
      return new Promise((resolve, reject) => {
        const look = () => {
          const found = find();
          if (found === undefined && !ending) return;
          watchers.delete(look);
          if (found !== undefined) resolve(found);
          else reject(new Error(`${argv.join(" ")} ended too early:\n${output.stderr}`));
        };
        watchers.add(look);
        look();
      });
    },
  };
}

/** This process's environment without what would change how the programs behave. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(LATCHKEY_|RS_|NODE_|npm_)/i.test(name)),
  );
}
