import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { SERVER_FLAGS } from "../../src/cli/runtime.js";
import { openGrpc } from "../support/process/grpc-wire.js";
import { openHttp } from "../support/process/http-wire.js";
import { type Scope, startProgram } from "../support/process/program.js";
import { BIN, FREE_PORTS, ROOT, serverOf } from "../support/process/server.js";
import type { Wire } from "../support/process/wire.js";
import { createRandom } from "../support/random.js";
import { flatness, type Sample } from "./flatness.js";

export interface SoakOptions {
  readonly minutes: number;
  /** Calls a second, at most. */
  readonly rate: number;
  readonly seed: number;
  readonly folder: string;
  readonly say: (line: string) => void;
}

const SAMPLE_SECONDS = 10;
/** Sessions of each worker; they come and go, and their number stays. */
const SESSIONS = 200;
const WORKERS = 16;
/** Milliseconds between the bursts that the rate is made of. */
const TICK = 20;

/** Serves a moderate load for long; answers what of the server grew. */
export async function runSoak(scope: Scope, options: SoakOptions): Promise<readonly string[]> {
  const { minutes, rate, seed, folder, say } = options;
  const path = join(folder, "latchkey.db");
  const settings = { ...FREE_PORTS, LATCHKEY_STORE: `sqlite:${path}` };
  const program = startProgram(scope, {
    ...{ argv: [process.execPath, ...SERVER_FLAGS, BIN, "serve"], cwd: ROOT },
    ...{ env: settings, lifetime: (minutes + 5) * 60_000 },
  });
  const server = await serverOf(program, settings);
  const pid = server.pid ?? 0;
  const load = startLoad([openHttp(server.http, WORKERS), openGrpc(server.grpc)], rate, seed);
  const samples: Sample[] = [];
  const begun = performance.now();
  const head = ["s", "calls/s", "RSS MiB", "heap MiB", "descriptors", "log MiB"];
  say(head.map((one) => one.padStart(12)).join(""));
  let before = 0;
  while (!load.hasFailed() && performance.now() - begun < minutes * 60_000) {
    await Promise.race([wait(SAMPLE_SECONDS * 1_000), load.failed]);
    const seconds = (performance.now() - begun) / 1_000;
    const calls = load.calls();
    const sample = { seconds, ...(await sampleOf(pid, server.http, path)) };
    samples.push(sample);
    const perSecond = Math.round((calls - before) / SAMPLE_SECONDS);
    before = calls;
    const { rss, heap, descriptors, log } = sample;
    const numbers = [seconds.toFixed(0), perSecond, rss.toFixed(1), heap.toFixed(1)];
    say([...numbers, descriptors, log.toFixed(1)].map((one) => String(one).padStart(12)).join(""));
  }
  const problems = await load.stop();
  const { status } = await server.stop();
  if (status !== 0) problems.push(`the server ended with ${status}`);
  const { lines, grown } = flatness(samples);
  for (const line of lines) say(line);
  return [...problems, ...grown];
}

/** Calls at a steady rate, or as many as are answered, over the wires in turn. */
function startLoad(wires: readonly Wire[], rate: number, seed: number) {
  const random = createRandom(seed);
  const problems: string[] = [];
  const begun = performance.now();
  let fail = () => {};
  const failed = new Promise<void>((resolve) => {
    fail = resolve;
  });
  let started = 0;
  let calls = 0;
  let isStopped = false;

  const work = async (wire: Wire, worker: number) => {
    const tokens: string[] = [];
    while (!isStopped) {
      const due = ((performance.now() - begun) / 1_000) * rate;
      if (started >= due) {
        await wait(TICK);
        continue;
      }
      // What is late by more than a tenth of a second is not made up for: the load is moderate.
      started = Math.max(started, Math.floor(due - rate / 10));
      started++;
      const index = random(Math.max(1, tokens.length));
      const token = tokens[index];
      const choice = random(100);
      let outcome: unknown = "done";
      if (token === undefined || (choice < 5 && tokens.length < SESSIONS)) {
        const made = await wire.create(`user ${worker} ${random(50)}`, { n: calls });
        outcome = made;
        if (typeof made === "object") tokens.push(made.done.token);
      } else if (choice < 10) {
        tokens.splice(index, 1);
        outcome = await wire.delete(token);
      } else if (choice < 14) {
        const rotated = await wire.rotate(token);
        outcome = rotated;
        if (typeof rotated === "object") tokens[index] = rotated.done.token;
      } else if (choice < 30) outcome = await wire.update(token, { [`key${random(5)}`]: calls });
      else outcome = await wire.read(token);
      calls++;
      if (typeof outcome === "string" && outcome !== "done")
        throw new Error(`a call is ${outcome}`);
    }
  };
  const workers = Promise.all(
    Array.from({ length: WORKERS }, (_, worker) =>
      work(wires[worker % wires.length] as Wire, worker).catch((error: unknown) => {
        problems.push(String(error));
        isStopped = true;
        fail();
      }),
    ),
  );
  return {
    calls: () => calls,
    hasFailed: () => problems.length > 0,
    /** Settles when a call went wrong. */
    failed,
    async stop(): Promise<string[]> {
      isStopped = true;
      await workers;
      for (const wire of wires) wire.close();
      return problems;
    },
  };
}

const MEBIBYTE = 1024 * 1024;

async function sampleOf(pid: number, http: string, path: string): Promise<Omit<Sample, "seconds">> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const metrics = await (await fetch(`http://${http}/metrics`)).text();
  const log = await stat(`${path}-wal`).catch(() => ({ size: 0 }));
  return {
    rss: Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024,
    heap: Number(/^nodejs_heap_size_used_bytes (\S+)/m.exec(metrics)?.[1]) / MEBIBYTE,
    descriptors: (await readdir(`/proc/${pid}/fd`)).length,
    log: log.size / MEBIBYTE,
  };
}
