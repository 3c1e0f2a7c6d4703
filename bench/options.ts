import { parseArgs } from "node:util";
import { TRIALS, type Trial } from "./trials/comparisons.js";
import { STREAM_TRIAL } from "./trials/streams.js";

export interface Options {
  readonly trials: readonly Trial[];
  /** Whether rke-stream, which is measured in another way, is run after them. */
  readonly streams: boolean;
  readonly seconds: number;
  readonly rounds: number;
  readonly connections: number;
  readonly sessions: number;
  /** Of text in the data of a session beside the usual. */
  readonly bytes: number;
  /** Calls a second of the steady load. */
  readonly rate: number;
  /** Length of a stream. */
  readonly mebibytes: number;
  readonly store: "sqlite" | "memory:";
  /** File to write the result to; empty for none. */
  readonly json: string;
}

const NORMAL = {
  seconds: 10,
  rounds: 5,
  connections: 32,
  sessions: 1_000,
  bytes: 0,
  rate: 2_000,
  mebibytes: 1_024,
};
const SMOKE = {
  seconds: 1,
  rounds: 1,
  connections: 8,
  sessions: 50,
  bytes: 0,
  rate: 200,
  mebibytes: 16,
};
/** Keeps a run within an hour, and its memory within reason. */
const MOST = {
  seconds: 60,
  rounds: 20,
  connections: 512,
  sessions: 20_000,
  bytes: 59_000,
  rate: 50_000,
  mebibytes: 16_384,
};

type Count = keyof typeof NORMAL;

/** Reads the command line. Undefined if help was asked for; throws a plain sentence. */
export function parseOptions(args: readonly string[]): Options | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      seconds: { type: "string" },
      rounds: { type: "string" },
      connections: { type: "string" },
      sessions: { type: "string" },
      bytes: { type: "string" },
      rate: { type: "string" },
      mebibytes: { type: "string" },
      store: { type: "string", default: "sqlite" },
      json: { type: "string", default: "" },
      smoke: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return undefined;

  const defaults = values.smoke ? SMOKE : NORMAL;
  const count = (name: Count): number => {
    const text = values[name];
    if (text === undefined) return defaults[name];
    const number = Number(text);
    if (Number.isInteger(number) && number >= 1 && number <= MOST[name]) return number;
    throw new Error(`--${name} must be a whole number from 1 to ${MOST[name]}`);
  };
  const { store } = values;
  if (store !== "sqlite" && store !== "memory:") {
    throw new Error("--store must be sqlite or memory:");
  }
  const isAll = positionals.includes("all");
  return {
    trials: isAll ? TRIALS : trialsOf(positionals),
    streams: isAll || positionals.includes(STREAM_TRIAL.name),
    seconds: count("seconds"),
    rounds: count("rounds"),
    connections: count("connections"),
    sessions: count("sessions"),
    bytes: count("bytes"),
    rate: count("rate"),
    mebibytes: count("mebibytes"),
    store,
    json: values.json,
  };
}

function trialsOf(names: readonly string[]): readonly Trial[] {
  if (names.length === 0) throw new Error("name a trial, or `all`; --help lists them");
  return names.flatMap((name) => {
    if (name === STREAM_TRIAL.name) return [];
    const trials = TRIALS.filter((trial) => trial.name === name || isGroup(trial, name));
    if (trials.length === 0) throw new Error(`there is no trial ${name}; --help lists them`);
    return trials;
  });
}

/** `auth-cost` stands for the trials whose names begin so. */
function isGroup(trial: Trial, name: string): boolean {
  return name === "auth-cost" && trial.name.startsWith(`${name}-`);
}

export function help(): string {
  const trials = [...TRIALS, STREAM_TRIAL]
    .map(({ name, about }) => `  ${name.padEnd(14)} ${about}`)
    .join("\n");
  return `npm run bench -- <trial>… [options]

Measures Latchkey and its peers in turn, each round in fresh processes on
loopback, and prints what they reached. A call that failed fails the run.

Trials (or \`all\`):
${trials}

Trials by themselves, with options of their own (\`watch --help\` and so on):
  watch          what watchers cost writers
  scale          what ten million sessions cost: disk, memory, start-up, latency
  upkeep         gets while sessions are swept, ended by the million, and backed up
  overload       what callers meet when far more calls arrive than can be answered
  generator      what the load of these trials is itself good for
  flags          what each of the server's flags of V8 buys
  strangers      what a caller with credentials meets while strangers do all they can
  heavy-user     what a User meets while another does his worst with legal calls

Options:
  --seconds N      length of a round (${NORMAL.seconds}), after a warm-up
  --rounds N       rounds of each server (${NORMAL.rounds})
  --connections N  calls in flight (${NORMAL.connections})
  --sessions N     sessions prepared in each round (${NORMAL.sessions})
  --bytes N        of text in their data beside the usual, over HTTP (none)
  --rate N         calls a second of the steady load that follows over HTTP and in grpc-get (${NORMAL.rate})
  --mebibytes N    length of a stream of rke-stream (${NORMAL.mebibytes}), with --smoke ${SMOKE.mebibytes}
  --store S        Latchkey's store: sqlite, a file on disk (the default), or memory:
  --json FILE      write the result to a file too
  --smoke          one short round with few sessions: that it works, not how fast
  --help           show this
`;
}
