import { fileURLToPath } from "node:url";
import { type Scope, startProgram } from "../support/process/program.js";
import { ROOT } from "../support/process/server.js";
import type { ScribeOptions } from "./scribe.js";

const SCRIBE = fileURLToPath(new URL("scribe.ts", import.meta.url));

/** What a scribe told, and how it ended. */
export interface Written {
  readonly lines: readonly string[];
  /** 0 if it came to its end, 137 if it was killed. */
  readonly status: number;
  /** What it and its tracer complained of. */
  readonly stderr: string;
}

/** Runs a scribe to its end, under `tracer` if one is given. */
export async function runScribe(
  scope: Scope,
  options: ScribeOptions,
  tracer: readonly string[] = [],
): Promise<Written> {
  const [command = "", ...args] = [
    ...tracer,
    ...[process.execPath, "--import", "tsx", SCRIBE, JSON.stringify(options)],
  ];
  const program = startProgram(scope, {
    ...{ argv: [command, ...args], cwd: ROOT, env: {} },
    // Killing a tracer sets free what it traces.
    hasChildren: true,
  });
  const { status, signal } = await program.end;
  const lines = program.output.stdout.split("\n").slice(0, -1);
  const { stderr } = program.output;
  return { lines, status: status ?? (signal === "SIGKILL" ? 137 : 1), stderr };
}
