import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import type { Scope } from "../support/process/program.js";
import { ROOT } from "../support/process/server.js";
import { jumpClock } from "./clock-jumps.js";
import { EARLY_ANSWERS } from "./controls.js";
import { meetFaults } from "./faults.js";
import { torture } from "./kills.js";
import type { Options, TrialName } from "./options.js";
import { meetOften } from "./places.js";
import { cutPower } from "./power-cuts.js";
import { meetFaultsAsServer } from "./server-faults.js";
import { runSoak } from "./soak.js";
import { startOften } from "./starts.js";

const MEMORY_DISK = "/dev/shm";

/** What a trial works with. */
export interface Run extends Options {
  readonly scope: Scope;
  /** For its files; empty. */
  readonly folder: string;
  readonly say: (line: string) => void;
}

/** Runs a trial; answers what was wrong. */
type Trial = (run: Run) => Promise<readonly string[]>;

export const TRIALS_BY_NAME: Record<TrialName, Trial> = {
  async kill({ scope, kills, lanes, seed, folder, control, say }) {
    const { problems, ...counts } = await torture(scope, {
      ...{ kills, lanes, seed, folder, env: control ? EARLY_ANSWERS : {} },
      killed: every(100, "kills", say),
    });
    say(told(counts));
    return problems;
  },

  async io({ scope, points, servers, lanes, seed, folder, control, say }) {
    const { problems, ...counts } = await meetFaults(scope, {
      ...{ points, lanes, seed, folder, met: every(50, "points", say) },
      ...(control ? { way: "ignores failures" } : {}),
    });
    say(told(counts));
    if (control || problems.length > 0) return problems;
    const whole = await meetFaultsAsServer(scope, {
      ...{ points: servers, lanes, seed, folder, met: every(10, "servers", say) },
    });
    say(told({ ...whole, problems: whole.problems.length }));
    return whole.problems;
  },

  async clock({ scope, folder, say }) {
    const jumped = every(1, "jumps", say);
    const { problems, ...counts } = await jumpClock(scope, { folder, jumped });
    say(told(counts));
    return problems;
  },

  places: ({ scope, meetings, say }) =>
    meetOften(scope, { meetings, met: every(1_000, "meetings", say) }),

  async power({ scope, cuts, seed, folder, control, say }) {
    const { problems, ...counts } = await cutPower(scope, {
      ...{ cuts, seed, folder, cut: every(100, "cuts", say) },
      ...(control ? { way: "never syncs" } : {}),
    });
    say(told(counts));
    return problems;
  },

  async starts({ scope, starts, seed, folder, say }) {
    const started = every(25, "starts", say);
    const { problems, ...counts } = await startOften(scope, { starts, seed, folder, started });
    say(told(counts));
    return problems;
  },

  soak: ({ scope, minutes, rate, seed, folder, say }) =>
    runSoak(scope, { minutes, rate, seed, folder, say }),

  model: ({ sequences }) =>
    runTests(
      {
        ...{ TEST_RUNS: String(sequences), TEST_COMMANDS: "50" },
        // Nothing is cut here: it is no matter how slow a sync is.
        ...(existsSync(MEMORY_DISK) ? { TMPDIR: MEMORY_DISK } : {}),
      },
      ...["--test-name-pattern", "as the model|many at once"],
      ...["test/stores/memory/memory.test.ts", "test/stores/sqlite/sqlite.test.ts"],
      "test/torture/linearizability.test.ts",
    ),

  watch: () =>
    runTests({ TEST_WATCH_MUTATIONS: "50000" }, "test/transports/watches/watch-torture.test.ts"),
};

/** Runs tests that take their size from the environment. */
async function runTests(
  env: Readonly<Record<string, string>>,
  ...rest: readonly string[]
): Promise<readonly string[]> {
  const args = ["--import", "tsx", "--test", "--test-reporter=spec", ...rest];
  const child = spawn(process.execPath, args, {
    ...{ cwd: ROOT, stdio: "inherit" },
    env: { ...process.env, ...env },
  });
  const [status] = await once(child, "exit");
  return status === 0 ? [] : ["a test failed"];
}

function every(step: number, what: string, say: (line: string) => void): (count: number) => void {
  return (count) => {
    if (count % step === 0) say(`${count} ${what}`);
  };
}

function told(counts: object): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name}: ${count}`)
    .join(", ");
}
