import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

/** Why a test of memory is skipped; false if it is not. */
export const skipMemory =
  process.platform === "linux" ? false : "the system tells of no peak of memory";

/** MiB of a process that are or were in memory at the most. */
export function peakOf({ pid }: { readonly pid: number | undefined }): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? assert.fail("no VmHWM")) / 1024;
}
