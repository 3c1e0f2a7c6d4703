import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runWrk, WRK_REPORT } from "../load/generators.js";
import { noteMember } from "../load/http-requests.js";
import type { CallKind } from "../load/phase.js";
import { runSteady } from "../load/steady-load.js";
import {
  APP,
  DATA,
  DEADLINE_MS,
  type Driver,
  type DriverOptions,
  IP,
  prepareTokens,
} from "./driver.js";

/** A call of the HTTP API: its Lua requests for wrk, and the trace that it leaves. */
interface HttpCall {
  readonly lua: string;
  readonly carriedOut: (target: Target) => Promise<number>;
}

/** Where the calls go, and the headers that they need. */
interface Target {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

const JSON_TYPE = { "content-type": "application/json" };

// In the scripts, `tokens` are those of the prepared sessions, `run` is different in every
// run on one server, and `note` is what data ends with.
const CALLS: Record<CallKind, HttpCall> = {
  get: {
    lua: `
local requests = {}
init = function()
  for i = 1, #tokens do requests[i] = wrk.format("GET", "/${APP}/get/" .. tokens[i]) end
end
request = function()
  n = n + 1
  return requests[n % #requests + 1]
end`,
    carriedOut: (target) => sumOf(target, "r"),
  },
  set: {
    lua: `
request = function()
  n = n + 1
  local path = "/${APP}/set/" .. tokens[n % #tokens + 1]
  return wrk.format("POST", path, wrk.headers, '{"n":' .. n .. note .. '}')
end`,
    carriedOut: (target) => sumOf(target, "w"),
  },
  create: {
    lua: `
request = function()
  n = n + 1
  local path = "/${APP}/create/user-" .. run .. "-" .. n .. "?ip=${IP}"
  return wrk.format("PUT", path, wrk.headers, '${JSON.stringify(DATA).slice(0, -1)}' .. note .. '}')
end`,
    // Every session has a user of its own, so users are as many as sessions.
    carriedOut: async (target) =>
      numberAt(await call(target, `/${APP}/activity?dt=7200`), "activity"),
  },
};

/** Drives one method of the rest-sessions API with wrk, spread over the prepared sessions. */
export async function openHttpDriver(
  method: CallKind,
  { server, dir, sessions, bytes }: DriverOptions,
): Promise<Driver> {
  const { http, headers = {} } = server;
  if (http === undefined) throw new Error("the server has no HTTP address");
  const target = { url: http, headers };
  const note = bytes > 0 ? "x".repeat(bytes) : undefined;
  const tokens = await prepareTokens(sessions, (userId) => createSession(target, userId, note));
  await writeFile(join(dir, "tokens"), tokens.join("\n"));
  let runs = 0;

  return {
    transport: "http",
    method,
    carriedOut: () => CALLS[method].carriedOut(target),
    async run(load) {
      runs += 1;
      const script = join(dir, `${method}.lua`);
      await writeFile(
        script,
        [prelude(dir, runs, headers, note), CALLS[method].lua, WRK_REPORT].join("\n"),
      );
      return runWrk(load, script, http);
    },
    runSteady: (load, rate) =>
      runSteady(
        load,
        "http",
        http,
        {
          call: method,
          headers,
          population: { app: APP, tokens },
          among: tokens.length,
          ...(note && { note }),
        },
        rate,
      ),
  };
}

function prelude(
  dir: string,
  run: number,
  headers: Target["headers"],
  note: string | undefined,
): string {
  const lines = Object.entries({ ...JSON_TYPE, ...headers }).map(
    ([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`,
  );
  return `
${lines.join("\n")}
local run, n, tokens = ${run}, 0, {}
local note = '${noteMember(note)}'
for line in io.lines(${JSON.stringify(join(dir, "tokens"))}) do tokens[#tokens + 1] = line end`;
}

async function createSession(
  target: Target,
  userId: string,
  note: string | undefined,
): Promise<string> {
  const body = JSON.stringify({ ...DATA, note });
  const path = `/${APP}/create/${userId}?ip=${IP}`;
  const answer = await call(target, path, { method: "PUT", body });
  if (typeof answer["token"] === "string") return answer["token"];
  throw new Error("create answered no token");
}

/** The sum of a counter over all sessions. Reading it counts nothing. */
async function sumOf(target: Target, counter: "r" | "w"): Promise<number> {
  const { sessions } = await call(target, `/${APP}/soapp?dt=7200`);
  if (!Array.isArray(sessions)) throw new Error("soapp answered no list");
  return sessions.reduce<number>((sum, session) => sum + numberAt(session, counter), 0);
}

async function call(
  { url, headers }: Target,
  path: string,
  request: RequestInit = {},
): Promise<Record<string, unknown>> {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const sent = { ...(request.body ? JSON_TYPE : {}), ...headers };
  const response = await fetch(url + path, { ...request, headers: sent, signal });
  const answer: unknown = await response.json();
  if (response.ok && isObject(answer)) return answer;
  throw new Error(`preparing or checking: HTTP ${response.status} ${JSON.stringify(answer)}`);
}

function numberAt(object: unknown, key: string): number {
  const value = isObject(object) ? object[key] : undefined;
  if (typeof value === "number") return value;
  throw new Error(`the answer has no number ${key}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
