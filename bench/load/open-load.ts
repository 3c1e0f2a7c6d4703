import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { LoadAnswer, LoadMessage } from "./open-loop.js";
import type { Phase, PhaseResult } from "./phase.js";

export interface OpenLoad {
  /** Ends the phase before; resolves when the phase has ended and its calls are answered. */
  begin(phase: Phase): Promise<PhaseResult>;
  /** Ends the last phase. */
  end(): void;
  /** Ends the process. */
  close(): void;
}

/** What the calls of a load go over. */
export type Wire = "http" | "grpc";

/** Starts the process of open-loop.ts, which calls the server at `url`, `http://127.0.0.1:1234`. */
export function startOpenLoad(url: string, signal: AbortSignal, wire: Wire = "http"): OpenLoad {
  const program = fileURLToPath(new URL("./open-loop.ts", import.meta.url));
  const { hostname, port } = new URL(url);
  const args = ["--import", "tsx", program, hostname, port, wire];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    signal,
  });
  const waiting: { resolve: (result: PhaseResult) => void; reject: (error: Error) => void }[] = [];
  let failure: Error | undefined;

  const fail = (error: Error) => {
    failure ??= error;
    for (const { reject } of waiting.splice(0)) reject(failure);
  };
  child.on("message", (answer: LoadAnswer) => {
    if ("error" in answer) fail(new Error(answer.error));
    else waiting.shift()?.resolve(answer.result);
  });
  child.once("error", fail);
  child.once("exit", (code, by) =>
    fail(new Error(`the load ended by ${by ?? `exit code ${code}`}`)),
  );

  const tell = (message: LoadMessage) => {
    if (child.connected) child.send(message);
  };

  return {
    begin(phase) {
      if (failure) return Promise.reject(failure);
      tell(phase);
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    end: () => tell("end"),
    close: () => void child.kill("SIGKILL"),
  };
}

/** Throws if a call of the phase failed or, unless that is to be, was refused. */
export function checkCalls({ name, failures, refused }: PhaseResult, mayRefuse = false): void {
  const bad = Object.entries(failures).map(([reason, count]) => `${count} × ${reason}`);
  if (refused > 0 && !mayRefuse) bad.push(`${refused} × refused`);
  if (bad.length > 0) throw new Error(`${name}: calls failed: ${bad.join(", ")}`);
}
