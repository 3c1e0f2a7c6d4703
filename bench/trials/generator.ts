import { checkCalls, startOpenLoad } from "../load/open-load.js";
import type { PhaseResult } from "../load/phase.js";
import { noteProvenance, provenanceText, writeResult } from "../report/provenance.js";
import { percent, table } from "../report/table.js";
import { SERVERS } from "../servers/servers.js";
import { inPlace } from "../servers/serving.js";
import { parseTrialOptions } from "../trial-options.js";

const OPTIONS = {
  about: `npm run bench -- generator [options]

Shows what the open-loop load itself is good for: the most calls a second that it makes of a server
that does nothing but answer, and how late it is and what it measures there at steady rates.`,
  numbers: {
    seconds: { normal: 5, smoke: 1, most: 60, means: "length of each measurement" },
    connections: { normal: 32, smoke: 8, most: 10_000, means: "connections" },
  },
  files: { json: "write the result to a file too" },
} as const;

/** Shares of the most at which it is shown, too. */
const SHARES = [0.1, 0.25, 0.5, 0.75];

/** Runs the trial and prints what it found. */
export async function benchGenerator(
  root: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const options = parseTrialOptions(args, OPTIONS);
  if (!options) return;
  const { seconds, connections } = options;
  const made = await noteProvenance(root, ["generator", ...args]);
  await inPlace({ root, signal }, async ({ dir }) => {
    const server = await SERVERS.trivial({ root, dir, store: "memory:", signal });
    const load = startOpenLoad(server.http ?? "", signal);
    const results: PhaseResult[] = [];
    const measure = async (name: string, rate: number | null) => {
      const result = await load.begin({
        ...{ name, rate, seconds, connections, call: "get", order: "random", whenBusy: "wait" },
        ...{ population: { name: "none", count: 1_000, apps: 1 }, among: 1_000, window: 250 },
      });
      checkCalls(result);
      return result;
    };
    try {
      await measure("warm-up", null);
      const most = await measure("the most", null);
      results.push(most);
      for (const share of SHARES) {
        const rate = (share * most.accepted.count) / most.seconds;
        results.push(await measure(`${100 * share} %`, rate));
      }
    } finally {
      load.close();
      await server.stop();
    }
    const setting = `each for ${seconds} s on ${connections} connections, of a server that only answers`;
    process.stdout.write(`\n${textOf(results)}\n${provenanceText(made, setting)}`);
    await writeResult(options.json, { ...made, setting, results });
  });
}

function textOf(results: readonly PhaseResult[]): string {
  const names = ["p50 ms", "p99 ms", "p99.9 ms"];
  return table([
    ["load", "calls/s", ...names, ...names.map((name) => `sent late, ${name}`), "busy"],
    ...results.map(({ name, seconds, accepted, lateness, senderBusy }) => [
      name,
      Math.round(accepted.count / seconds).toLocaleString("en-US"),
      ...[accepted, lateness].flatMap(({ p50, p99, p999 }) =>
        [p50, p99, p999].map((one) => one.toFixed(2)),
      ),
      percent(senderBusy, 0),
    ]),
  ]);
}
