import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { SERVER_FLAGS } from "../../src/cli/runtime.js";
import { fill } from "../data/filled-file.js";
import { appOf } from "../data/population.js";
import { startOpenLoad } from "../load/open-load.js";
import type { Phase } from "../load/phase.js";
import { residentOf } from "../measure/memory.js";
import { checkBuild, noteProvenance, provenanceText } from "../report/provenance.js";
import { table } from "../report/table.js";
import { startWithAccounts } from "../servers/servers.js";
import { inPlace, type Place } from "../servers/serving.js";
import { parseTrialOptions, type TrialValues } from "../trial-options.js";
import type { HeavyUser } from "./heavy-user.js";
import { cellsOf, HEAD, type Seen, witness } from "./witness.js";

const OPTIONS = {
  about: `npm run bench -- heavy-user [options]

Measures what one User meets while another does his worst with legal calls: lists, counts, batches,
whole apps by HTTP, large sessions, and watches that nobody reads. Prints the latencies of the one's
gets and how many sessions he creates, in quiet and meanwhile, and the server's memory. The heavy User
runs at a lower priority: the processor that he takes is not the server's.`,
  numbers: {
    seconds: { normal: 60, smoke: 3, most: 600, means: "for how long the heavy User goes on" },
    quiet: { normal: 10, smoke: 1, most: 120, means: "length of the quiet before, and after" },
    sessions: { normal: 1_000_000, smoke: 5_000, most: 10_000_000, means: "his sessions" },
    large: { normal: 2_000, smoke: 20, most: 20_000, means: "and so many of 60 kB" },
    watches: { normal: 10_000, smoke: 100, most: 20_000, means: "his watches" },
    rate: { normal: 500, smoke: 100, most: 5_000, means: "the other's gets a second" },
    heap: { normal: 4_096, smoke: 4_096, most: 16_384, means: "MiB of heap that the server has" },
    rest: { normal: 60, smoke: 1, most: 120, means: "seconds in which memory is given back" },
  },
  files: {},
} as const;

type Options = TrialValues<typeof OPTIONS>;

/** Bytes of a large session's text, and how many are created at a time. */
const LARGE = 59_000;
const AT_ONCE = 16;

/** Runs the trial and prints what it found. */
export async function benchHeavyUser(
  root: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const options = parseTrialOptions(args, OPTIONS);
  if (!options) return;
  const made = await noteProvenance(root, ["heavy-user", ...args]);
  await inPlace({ root, signal }, async (place) => {
    const text = await run(place, options);
    await checkBuild(root, made);
    const { sessions, large, watches, seconds, rate } = options;
    const setting = `${sessions} sessions of the heavy User, ${large} of 60 kB, ${watches} watches, ${options.heap} MiB of heap, ${seconds} s; ${rate} gets a second by the other`;
    process.stdout.write(text + provenanceText(made, setting));
  });
}

async function run({ root, signal, dir }: Place, options: Options): Promise<string> {
  const heavy = { name: "heavy", count: options.sessions, apps: 1 };
  const population = { name: "bench", count: 10_000, apps: 1 };
  const database = join(dir, "bench.db");
  for (const one of [heavy, population]) {
    await fill({ path: database, population: one, expiresAt: null, durable: false }, signal);
  }
  const flags = [...SERVER_FLAGS, `--max-old-space-size=${options.heap}`];
  const site = { root, dir, store: "sqlite", database, flags, signal } as const;
  const server = await startWithAccounts(site, { heavy: "heavy-*", bench: "bench-*" });
  const { http = "", grpc = "" } = server;
  const load = startOpenLoad(http, signal);
  try {
    await createLarge(`${http}/${appOf(heavy, 0)}`, server.headers["heavy"] ?? {}, options.large);
    const gets: Phase = {
      ...{ name: "gets", call: "get", population, among: population.count, order: "random" },
      ...{ window: 100, rate: options.rate, connections: 16, whenBusy: "wait" },
      ...{ seconds: options.quiet, headers: server.headers["bench"] ?? {} },
    };
    // As many as are answered; for half of the time beside the heavy User.
    const creates: Phase = { ...gets, name: "creates", call: "create", rate: null };
    const half = options.seconds / 2;
    await load.begin({ ...gets, name: "warm-up", seconds: Math.min(3, options.quiet) });
    const quiet = await witness(load, gets, http);
    const quietCreates = await witness(load, creates, http);

    const before = residentOf(server.pid);
    const program = fileURLToPath(new URL("./heavy-user.ts", import.meta.url));
    const user = spawn("nice", ["-n", "10", process.execPath, "--import", "tsx", program], {
      stdio: ["ignore", "pipe", "inherit", "ipc"],
      signal,
    });
    let done = "";
    user.stdout?.setEncoding("utf8").on("data", (text: string) => {
      done += text;
    });
    const exit = once(user, "exit");
    const { watches, seconds } = options;
    const headers = server.headers["heavy"] ?? {};
    const address = http.slice("http://".length);
    const told: HeavyUser = {
      ...{ http: address, grpc, headers, population: heavy, watches },
      seconds: seconds + 2,
    };
    user.send(told);
    let most = 0;
    const sampling = setInterval(() => {
      most = Math.max(most, residentOf(server.pid));
    }, 250);
    const beside = await witness(load, { ...gets, seconds: half }, http);
    const besideCreates = await witness(load, { ...creates, seconds: half }, http);
    await exit;
    clearInterval(sampling);
    const after = await witness(load, gets, http);
    let rested = residentOf(server.pid);
    for (let i = 0; i < options.rest && rested > before + 64; i++) {
      await sleep(1_000);
      rested = residentOf(server.pid);
    }
    await server.checkRunning();
    const rows: [string, Seen, Seen][] = [
      ["gets, quiet", quiet, quiet],
      ["gets, beside the heavy User", beside, quiet],
      ["gets, after", after, quiet],
      ["creates, quiet", quietCreates, quietCreates],
      ["creates, beside him", besideCreates, quietCreates],
    ];
    return `
${table([HEAD, ...rows.map(([name, seen, than]) => cellsOf(name, seen, than))])}

the heavy User: ${done.trim()}
server's memory: ${before.toFixed()} MiB before, at most ${most.toFixed()}, ${rested.toFixed()} after
`;
  } finally {
    load.close();
    await server.stop();
  }
}

/** Creates sessions of the size that is the most. */
async function createLarge(
  url: string,
  headers: Readonly<Record<string, string>>,
  count: number,
): Promise<void> {
  const body = JSON.stringify({ text: "x".repeat(LARGE) });
  const create = async (n: number) => {
    const response = await fetch(`${url}/create/large-${n}?ip=192.0.2.1`, {
      ...{ method: "PUT", body },
      headers: { ...headers, "content-type": "application/json" },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`a large session was not created: ${text}`);
  };
  for (let from = 0; from < count; from += AT_ONCE) {
    const some = Math.min(AT_ONCE, count - from);
    await Promise.all(Array.from({ length: some }, (_, i) => create(from + i)));
  }
}
