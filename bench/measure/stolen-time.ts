import { readFileSync } from "node:fs";

/** What the machine's processors did since it started, in ticks of the kernel. */
export interface ProcessorTime {
  readonly total: number;
  /** In which a virtual machine had work and its host gave the processor to others. */
  readonly stolen: number;
}

/** What `/proc/stat` says, by proc(5). */
export function readProcessorTime(stat = readFileSync("/proc/stat", "utf8")): ProcessorTime {
  const [all = ""] = stat.split("\n");
  // user, nice, system, idle, iowait, irq, softirq, steal; guests, which follow, are in user.
  const ticks = all.split(/\s+/).slice(1, 9).map(Number);
  return { total: ticks.reduce((sum, some) => sum + some, 0), stolen: ticks[7] ?? 0 };
}

/** The share of all processors' time since then that was stolen, 0 to 1. */
export function stolenSince(before: ProcessorTime, now = readProcessorTime()): number {
  return (now.stolen - before.stolen) / Math.max(now.total - before.total, 1);
}
