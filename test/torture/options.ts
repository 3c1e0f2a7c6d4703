import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";

export const TRIALS = {
  kill: "kills servers under mixed load; no answered write may be lost, revived or torn",
  io: "has syncs, writes and reads of the disk fail; no write may be answered and not be there",
  power: "cuts the power, by traces of what was synced; what was answered must be there",
  soak: "a moderate load for long; memory, descriptors and log must stay flat",
  model: "random sequences of commands against each store and a model, and many at once",
  starts: "starts servers, loads them and stops them by SIGTERM; each must end by itself",
  clock: "has the clock of a server under load jump; no session may be lost or come back",
  places: "two callers connect from one port to two addresses; none may be taken for the other",
  watch: "cuts a watcher 200 times while 50,000 mutations run",
} as const;

export type TrialName = keyof typeof TRIALS;

export interface Options {
  readonly trial: TrialName;
  readonly kills: number;
  readonly points: number;
  readonly servers: number;
  readonly cuts: number;
  readonly starts: number;
  readonly meetings: number;
  readonly minutes: number;
  readonly rate: number;
  readonly sequences: number;
  readonly lanes: number;
  readonly seed: number;
  /** Whether what is tried is a control, which must be found out. */
  readonly control: boolean;
}

const COUNTS = {
  kills: ["kill: how many", 1_000],
  points: ["io: calls that fail, each in a process that writes to a store", 500],
  servers: ["io: the same in a whole server under load", 30],
  cuts: ["power: how many", 400],
  starts: ["starts: how many", 100],
  meetings: ["places: how many", 10_000],
  minutes: ["soak: how long", 30],
  rate: ["soak: calls a second", 2_000],
  sequences: ["model: how many for each store", 10_000],
  lanes: ["kill, io: how many servers at once", 3],
} as const;

type Count = keyof typeof COUNTS;

/** Reads the command line. Undefined if help was asked for; throws a plain sentence. */
export function parseOptions(args: readonly string[]): Options | undefined {
  const text = { type: "string" } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...{ kills: text, points: text, servers: text, cuts: text, minutes: text },
      ...{ rate: text, starts: text, sequences: text, lanes: text, seed: text },
      meetings: text,
      control: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return undefined;
  const number = (name: Count | "seed", usual: number): number => {
    const given = values[name];
    if (given === undefined) return usual;
    const value = Number(given);
    if (given !== "" && Number.isSafeInteger(value) && value >= 0) return value;
    throw new Error(`--${name} must be a whole number`);
  };
  const count = (name: Count) => number(name, COUNTS[name][1]);
  const trial = Object.keys(TRIALS).find((name) => name === positionals[0]);
  if (!trial || positionals.length > 1) throw new Error("name one trial; --help lists them");
  return {
    trial: trial as TrialName,
    ...{ kills: count("kills"), points: count("points"), servers: count("servers") },
    ...{ cuts: count("cuts"), minutes: count("minutes"), rate: count("rate") },
    ...{ sequences: count("sequences"), lanes: Math.max(1, count("lanes")) },
    starts: count("starts"),
    meetings: count("meetings"),
    seed: number("seed", randomInt(2 ** 31)),
    control: values.control,
  };
}

export function help(): string {
  const trials = Object.entries(TRIALS).map(([name, about]) => `  ${name.padEnd(7)} ${about}`);
  const counts = Object.entries(COUNTS).map(
    ([name, [about, usual]]) => `  ${`--${name} N`.padEnd(14)} ${about} (${usual})`,
  );
  return `npm run torture -- <trial> [options]

Shows what docs/durability.md promises. Ends with status 1 if the promise was broken.

Trials:
${trials.join("\n")}

Options:
${counts.join("\n")}
  --seed N       of what is random in kill, io and power (any)
  --control      kill, io, power: of a server or store that breaks the promise, which must be
                 found out
  --help         show this
`;
}
