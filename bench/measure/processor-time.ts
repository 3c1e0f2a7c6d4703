import { readFileSync } from "node:fs";

/** Microseconds of a tick in /proc/PID/stat: Linux has 100 a second, by sysconf(_SC_CLK_TCK). */
const TICK_MICROS = 10_000;

/** Microseconds of the processors that the processes have used since they began, in all threads. */
export function processorMicros(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + ticksOf(readFileSync(`/proc/${pid}/stat`, "utf8")), 0);
}

/** The ticks in user mode and in the kernel, by proc(5), as microseconds. */
function ticksOf(stat: string): number {
  // The second field, a name in parentheses, may have spaces; utime and stime are the 14th and 15th.
  const [, , , , , , , , , , , utime = "", stime = ""] = stat
    .slice(stat.lastIndexOf(")") + 1)
    .trim()
    .split(" ");
  return (Number(utime) + Number(stime)) * TICK_MICROS;
}
