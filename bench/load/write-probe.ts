import { setTimeout as sleep } from "node:timers/promises";
import { createLatencies, type Latencies } from "../report/latencies.js";
import { callJson } from "./json-call.js";

/** Milliseconds of rest between two writes. */
const REST = 20;

/**
 * Begins a session of an app of its own and sets its data some 45 times a second until the signal, one
 * call after the other.
 */
export async function startWriteProbe(url: string, signal: AbortSignal) {
  const app = `probe-${Date.now().toString(36)}`;
  const begun = await callJson(
    "PUT",
    `${url}/${app}/create/probe?ip=192.0.2.1&ttl=86400`,
    {},
    signal,
  );
  const { token } = JSON.parse(begun) as { token: string };
  let latencies = createLatencies();
  let failure: unknown;

  const probe = async () => {
    for (let written = 0; ; written++) {
      const start = performance.now();
      await callJson("POST", `${url}/${app}/set/${token}`, { written }, signal);
      latencies.record(performance.now() - start);
      await sleep(REST, undefined, { signal });
    }
  };
  probe().catch((error: unknown) => {
    failure = error;
  });

  return {
    /** How long writes took since the last time. */
    take(): Latencies {
      if (failure !== undefined) throw failure;
      const taken = latencies.summary();
      latencies = createLatencies();
      return taken;
    },
  };
}
