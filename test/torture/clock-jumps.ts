import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { SERVER_FLAGS } from "../../src/cli/runtime.js";
import { type Scope, startProgram } from "../support/process/program.js";
import { BIN, FREE_PORTS, ROOT, serverOf } from "../support/process/server.js";

/** Where Debian and Ubuntu have it, whatever the architecture: the loader fills in $LIB. */
const FAKETIME = "/usr/$LIB/faketime/libfaketimeMT.so.1";

const HOUR = 3_600;
const YEAR = 8_766 * HOUR;
/** Seconds by which the clock jumps. */
const JUMPS = [3 * HOUR, -3 * HOUR, 10 * YEAR, -10 * YEAR];
/** Milliseconds for which it is wrong, and right again: sweeps come four times a second. */
const WRONG = 6_000;
const SESSIONS = 300;
const ENDED = 50;
const WORKERS = 4;

export interface ClockJumpsOptions {
  readonly folder: string;
  readonly jumped: (jumps: number) => void;
}

/**
 * Has the wall clock of a server under load jump there and back, by libfaketime. Answers which
 * sessions were lost, which came back, and which calls failed.
 */
export async function jumpClock(scope: Scope, { folder, jumped }: ClockJumpsOptions) {
  const file = join(folder, "clock");
  const setClock = (seconds: number) => writeFile(file, `${seconds < 0 ? "" : "+"}${seconds}\n`);
  await setClock(0);
  const settings = { ...FREE_PORTS, LATCHKEY_STORE: `sqlite:${join(folder, "latchkey.db")}` };
  const program = startProgram(scope, {
    argv: [process.execPath, ...SERVER_FLAGS, BIN, "serve"],
    cwd: ROOT,
    env: {
      ...settings,
      LD_PRELOAD: FAKETIME,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    },
  });
  const server = await serverOf(program, settings);
  const problems: string[] = [];
  const call = async (method: string, path: string, body?: object) => {
    const init = body && {
      ...{ body: JSON.stringify(body), headers: { "content-type": "application/json" } },
    };
    const response = await fetch(`http://${server.http}/shop/${path}`, { method, ...init });
    const answer = (await response.json()) as Readonly<Record<string, unknown>>;
    if (!response.ok) problems.push(`${method} ${path.split("/")[0]}: ${response.status}`);
    return answer;
  };
  const createSession = async (n: number) =>
    `${(await call("PUT", `create/user-${n}?ip=192.0.2.1`))["token"]}`;
  const range = (count: number) => Array.from({ length: count }, (_, n) => n);

  const living = await Promise.all(range(SESSIONS).map(createSession));
  const ended = await Promise.all(range(ENDED).map(createSession));
  for (const token of ended) await call("DELETE", `kill/${token}`);

  let isOver = false;
  let reads = 0;
  const work = async (worker: number) => {
    for (let n = worker; !isOver; n += WORKERS) {
      const token = living[n % SESSIONS];
      const { id } = await call("GET", `get/${token}`);
      if (id === undefined) problems.push("a session under load was not there");
      await call("POST", `set/${token}`, { n });
      reads++;
    }
  };
  const check = async (when: string) => {
    for (const token of living) {
      const { id } = await call("GET", `get/${token}`);
      if (id === undefined) problems.push(`${when}: a session was lost`);
    }
    for (const token of ended) {
      const { id } = await call("GET", `get/${token}`);
      if (id !== undefined) problems.push(`${when}: an ended session came back`);
    }
  };

  const workers = range(WORKERS).map(work);
  for (const [index, seconds] of JUMPS.entries()) {
    const lines = server.log().filter(isAboutClock).length;
    await setClock(seconds);
    await wait(WRONG);
    await check(`by ${seconds} s`);
    if (server.log().filter(isAboutClock).length === lines && index === 0) {
      problems.push(`a jump by ${seconds} s was not noticed`);
    }
    await setClock(0);
    await wait(WRONG);
    await check(`back from ${seconds} s`);
    jumped(index + 1);
  }
  isOver = true;
  await Promise.all(workers);
  const { status } = await server.stop();
  if (status !== 0) problems.push(`the server ended with ${status}`);
  return { problems, jumps: JUMPS.length, reads };
}

const isAboutClock = (line: Readonly<Record<string, unknown>>) =>
  `${line["msg"]}`.includes("clock");
