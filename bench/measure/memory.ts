import { readFileSync } from "node:fs";

/** A process's resident memory in MiB. */
export function residentOf(pid: number | undefined): number {
  return mebibytesOf(pid, "VmRSS");
}

/** The most that it ever was. */
export function peakOf(pid: number | undefined): number {
  return mebibytesOf(pid, "VmHWM");
}

function mebibytesOf(pid: number | undefined, field: "VmRSS" | "VmHWM"): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1];
  if (kibibytes === undefined) throw new Error(`/proc/${pid}/status has no ${field}`);
  return Number(kibibytes) / 1024;
}
