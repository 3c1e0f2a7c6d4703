import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { createLatencies, type Latencies } from "./latencies.js";

/** Milliseconds between two writes. */
const EVERY = 20;

/** What writes waited for since it was asked last. */
export type WriteProbe = Awaited<ReturnType<typeof startWriteProbe>>;

/**
 * Begins a session of an app of its own and sets its data 50 times a second until the signal, one
 * call after the other.
 */
export async function startWriteProbe(url: string, signal: AbortSignal) {
  const app = `probe-${Date.now().toString(36)}`;
  const begun = await call("PUT", `${url}/${app}/create/probe?ip=192.0.2.1&ttl=86400`, {}, signal);
  const { token } = JSON.parse(begun) as { token: string };
  let latencies = createLatencies();
  let failure: unknown;

  const probe = async () => {
    for (let written = 0; ; written++) {
      const start = performance.now();
      await call("POST", `${url}/${app}/set/${token}`, { written }, signal);
      latencies.record(performance.now() - start);
      await sleep(EVERY, undefined, { signal });
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

/** Sends JSON; answers the body of a 200. */
function call(method: string, to: string, json: object, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const sent = request(to, { method, signal, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("error", reject);
      response.on("end", () => {
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`${method} answered ${response.statusCode}: ${text}`));
      });
    });
    sent.on("error", reject);
    sent.end(JSON.stringify(json));
  });
}
