import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Ending, type Program, type Scope, startProgram } from "./program.js";

/** The project's folder, and the program as it is built there. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
export const BIN = join(ROOT, "dist/src/bin.js");

type Env = Readonly<Record<string, string>>;

/** All wires on ports that the system picks. */
export const FREE_PORTS = {
  LATCHKEY_GRPC: "127.0.0.1:0",
  LATCHKEY_HTTP: "127.0.0.1:0",
  LATCHKEY_COMMAND: "127.0.0.1:0",
};

/** A new folder that goes with the test. */
export async function makeFolder(t: Scope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-test-"));
  // Retried: a server that a failed test left may end after this begins.
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
  return folder;
}

/** Starts `latchkey` with these arguments and settings. */
export function startLatchkey(t: Scope, args: readonly string[], env: Env, cwd = ROOT) {
  return startProgram(t, { argv: [process.execPath, BIN, ...args], cwd, env });
}

/** Runs `latchkey` to its end. */
export async function runLatchkey(t: Scope, args: readonly string[], env: Env, cwd = ROOT) {
  const program = startLatchkey(t, args, env, cwd);
  const ending = await program.end;
  return { ...ending, ...program.output };
}

/** Runs a server that is not to start, to its end or its first output, and kills it then. */
export async function runRefused(t: Scope, env: Env, args: readonly string[] = []) {
  const program = startLatchkey(t, ["serve", ...args], { ...FREE_PORTS, ...env });
  await program.waitFor(() => program.output.stdout || undefined).catch(() => undefined);
  program.signal("SIGKILL");
  const ending = await program.end;
  return { ...ending, ...program.output };
}

/** One line of a server's log. */
export type LogLine = Readonly<Record<string, unknown>>;

export interface Server {
  /** Where it listens, `host:port`; empty if that listener is off. */
  readonly grpc: string;
  readonly http: string;
  readonly command: string;
  readonly pid: number | undefined;
  readonly output: Program["output"];
  /** Settles when it has ended. */
  readonly end: Promise<Ending>;
  signal(name: NodeJS.Signals): void;
  /** Its log so far. */
  log(): LogLine[];
  /** Settles once it has logged a line with this `msg`, that `isMeant` if that is given. */
  logged(msg: string, isMeant?: (line: LogLine) => boolean): Promise<void>;
  /** Sends the signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<Ending>;
}

/** Starts a server on free ports and waits until it listens. */
export async function startServer(t: Scope, env: Env, args: string[] = []): Promise<Server> {
  // Tests share their processors: that they are slow is no overload.
  const settings = { ...FREE_PORTS, LATCHKEY_TURN_CALLS: "off", ...env };
  return serverOf(startLatchkey(t, ["serve", ...args], settings), settings);
}

/** The server that a program is, once it listens on all wires that are not off. */
export async function serverOf(program: Program, settings: Env): Promise<Server> {
  const log = () => parseLog(program.output.stdout);
  const addressOf = async (listener: "grpc" | "http" | "command") => {
    if (settings[`LATCHKEY_${listener.toUpperCase()}`] === "off") return "";
    return program.waitFor(() => {
      const address = log().find((line) => line["listener"] === listener)?.["address"];
      return typeof address === "string" ? address : undefined;
    });
  };
  return {
    grpc: await addressOf("grpc"),
    http: await addressOf("http"),
    command: await addressOf("command"),
    pid: program.pid,
    output: program.output,
    end: program.end,
    signal: program.signal,
    log,
    async logged(msg, isMeant = () => true) {
      const isIt = (line: LogLine) => line["msg"] === msg && isMeant(line);
      await program.waitFor(() => log().some(isIt) || undefined);
    },
    stop(signal = "SIGTERM") {
      program.signal(signal);
      return program.end;
    },
  };
}

/** The whole lines of a log; throws if one is no JSON object. */
export function parseLog(text: string): LogLine[] {
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const parsed: unknown = JSON.parse(line);
      if (typeof parsed === "object" && parsed !== null) return parsed as LogLine;
      throw new Error(`the log has a line that is no object: ${line}`);
    });
}
