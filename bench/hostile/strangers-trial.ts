import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { fillOnce } from "../data/filled-file.js";
import { startOpenLoad, type Wire } from "../load/open-load.js";
import type { Phase } from "../load/phase.js";
import { residentOf } from "../measure/memory.js";
import { checkBuild, noteProvenance, provenanceText } from "../report/provenance.js";
import { table } from "../report/table.js";
import { startWithAccounts } from "../servers/servers.js";
import { inPlace, type Place } from "../servers/serving.js";
import { parseTrialOptions, type TrialValues } from "../trial-options.js";
import { getMessage } from "./get-message.js";
import { cellsOf, HEAD, type Seen, witness } from "./witness.js";

const OPTIONS = {
  about: `npm run bench -- strangers [options]

Measures what a caller with credentials meets while strangers do all they can: many connections to
the three listeners, each of which makes one of the moves of bench/hostile/stranger-moves.ts, over
and over. Prints the latencies of gets by HTTP and by gRPC in quiet, meanwhile and after, how many
failed, and the server's memory. The strangers run at a lower priority: the processor that they
take is not the server's.`,
  numbers: {
    seconds: { normal: 60, smoke: 3, most: 600, means: "for how long the strangers go on" },
    quiet: { normal: 10, smoke: 1, most: 120, means: "length of the quiet before, and after" },
    connections: { normal: 10_000, smoke: 200, most: 15_000, means: "connections of strangers" },
    sessions: { normal: 10_000, smoke: 100, most: 1_000_000, means: "sessions" },
    rate: { normal: 500, smoke: 100, most: 5_000, means: "gets a second" },
    rest: { normal: 60, smoke: 1, most: 120, means: "seconds in which memory is given back" },
  },
  files: {},
} as const;

type Options = TrialValues<typeof OPTIONS>;

/** Runs the trial and prints what it found. */
export async function benchStrangers(
  root: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const options = parseTrialOptions(args, OPTIONS);
  if (!options) return;
  const made = await noteProvenance(root, ["strangers", ...args]);
  await inPlace({ root, signal }, async (place) => {
    const text = (await run(place, options, "http")) + (await run(place, options, "grpc"));
    await checkBuild(root, made);
    const { connections, seconds, rate, sessions } = options;
    const setting = `${connections} connections of strangers for ${seconds} s; ${rate} gets a second among ${sessions} sessions`;
    process.stdout.write(text + provenanceText(made, setting));
  });
}

async function run(place: Place, options: Options, wire: Wire): Promise<string> {
  const { root, signal, dir } = place;
  const { seconds, connections, sessions, rate } = options;
  const population = { name: "bench", count: sessions, apps: 1 };
  const database = join(dir, "bench.db");
  await fillOnce({ path: database, population, expiresAt: null, durable: false }, signal);
  const site = { root, dir, store: "sqlite", database, signal } as const;
  const server = await startWithAccounts(site, { [`bench${wire}`]: "bench-*" });
  const { http = "", grpc = "", command = "" } = server;
  const load = startOpenLoad(wire === "http" ? http : `http://${grpc}`, signal, wire);
  try {
    const phase: Phase = {
      ...{ name: "quiet", call: "get", population, among: sessions, order: "random", window: 100 },
      ...{ rate, connections: 16, whenBusy: "wait", seconds: options.quiet },
      ...(wire === "grpc" ? { message: getMessage(population) } : {}),
      headers: server.headers[`bench${wire}`] ?? {},
    };
    await load.begin({ ...phase, name: "warm-up", seconds: Math.min(3, options.quiet) });
    const before = residentOf(server.pid);
    const quiet = await witness(load, phase, http);

    const program = fileURLToPath(new URL("./strangers.ts", import.meta.url));
    const addresses = [http.slice("http://".length), grpc, command];
    const strangers = spawn(
      "nice",
      [
        ...["-n", "10", process.execPath, "--import", "tsx", program],
        ...[`${connections}`, `${seconds + 2}`, ...addresses],
      ],
      { stdio: ["ignore", "pipe", "inherit"], signal },
    );
    let done = "";
    strangers.stdout.setEncoding("utf8").on("data", (text: string) => {
      done += text;
    });
    const exit = once(strangers, "exit");
    let most = 0;
    const sampling = setInterval(() => {
      most = Math.max(most, residentOf(server.pid));
    }, 250);
    const meanwhile = await witness(load, { ...phase, name: "strangers", seconds }, http);
    await exit;
    clearInterval(sampling);
    const after = await witness(load, { ...phase, name: "after" }, http);
    let rested = residentOf(server.pid);
    for (let i = 0; i < options.rest && rested > before + 64; i++) {
      await sleep(1_000);
      rested = residentOf(server.pid);
    }
    await server.checkRunning();
    return textOf(wire, { quiet, meanwhile, after }, { before, most, rested }, done);
  } finally {
    load.close();
    await server.stop();
  }
}

function textOf(
  wire: Wire,
  { quiet, meanwhile, after }: { quiet: Seen; meanwhile: Seen; after: Seen },
  memory: { readonly before: number; readonly most: number; readonly rested: number },
  strangers: string,
): string {
  const rows = Object.entries({ quiet, "beside strangers": meanwhile, after });
  const { failures } = meanwhile.calls;
  const failed = Object.entries(failures).map(([reason, count]) => `${count} × ${reason}`);
  return `
gets by ${wire}

${table([HEAD, ...rows.map(([name, seen]) => cellsOf(name, seen, quiet))])}

strangers: ${strangers.trim()}
failures: ${failed.join("; ") || "none"}
server's memory: ${memory.before.toFixed()} MiB before, at most ${memory.most.toFixed()}, ${memory.rested.toFixed()} after
`;
}
