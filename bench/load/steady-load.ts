import type { Steady } from "../drivers/driver.js";
import type { Load } from "./generators.js";
import { checkCalls, startOpenLoad, type Wire } from "./open-load.js";
import type { Phase } from "./phase.js";

/** What is called at a steady rate: the fields of a phase that a round does not set. */
export type SteadyCalls = Pick<
  Phase,
  "call" | "population" | "among" | "note" | "headers" | "message"
>;

/** Calls the server at `url` at a steady rate that does not wait for answers. */
export async function runSteady(
  { seconds, connections, signal }: Load,
  wire: Wire,
  url: string,
  calls: SteadyCalls,
  rate: number,
): Promise<Steady> {
  const load = startOpenLoad(url, signal, wire);
  try {
    const phase: Phase = {
      ...{ ...calls, name: "steady load", rate, seconds, connections, window: 250 },
      ...{ order: "random", whenBusy: "wait" },
    };
    // Of the load, whose process is fresh.
    checkCalls(await load.begin({ ...phase, name: "warm-up", seconds: Math.min(seconds, 2) }));
    const result = await load.begin(phase);
    checkCalls(result);
    return { rate, ...result.accepted, lateness: result.lateness };
  } finally {
    load.close();
  }
}

/** As `runSteady`, one and the same framed message by gRPC to an address, `127.0.0.1:1234`. */
export function runSteadyMessage(
  load: Load,
  grpc: string,
  path: string,
  request: Buffer,
  headers: Readonly<Record<string, string>>,
  rate: number,
): Promise<Steady> {
  const message = { path, body: request.toString("base64") };
  const population = { app: "", tokens: [""] };
  const calls = { call: "get", population, among: 1, message, headers } as const;
  return runSteady(load, "grpc", `http://${grpc}`, calls, rate);
}
