import type { Random } from "../support/random.js";

/** A fault of the disk that a process is to meet. */
export interface DiskFault {
  readonly calls: "fsync,fdatasync" | "pwrite64" | "pread64" | "ftruncate";
  readonly error: "EIO" | "ENOSPC";
  /** Which of these calls of each thread fails, from 1 on. */
  readonly nth: number;
  /** Whether all that come after it fail as well. */
  readonly stays: boolean;
}

/** How many calls of each kind a thread makes at most in a run. */
export interface Reach {
  readonly syncs: number;
  readonly writes: number;
}

/** Any fault, at any of so many calls. */
export function drawFault(random: Random, { syncs, writes }: Reach): DiskFault {
  const stays = random(4) === 0;
  const choice = random(100);
  const error = choice % 2 === 0 ? "EIO" : "ENOSPC";
  if (choice < 45) return { calls: "fsync,fdatasync", error, nth: 1 + random(syncs), stays };
  if (choice < 92) return { calls: "pwrite64", error, nth: 1 + random(writes), stays };
  // The rest is seldom asked of a disk, and knows no lack of space.
  if (choice < 96) return { calls: "pread64", error: "EIO", nth: 1 + random(12), stays };
  return { calls: "ftruncate", error: "EIO", nth: 1, stays };
}

/** The command that has a program meet the fault in these files, and notes it at `trace`. */
export function injector(
  { calls, error, nth, stays }: DiskFault,
  { files, trace }: { readonly files: readonly string[]; readonly trace: string },
): string[] {
  return [
    ...["strace", "--follow-forks", "--seccomp-bpf", "-qq", "-s", "0", "-y", "-o", trace],
    ...files.flatMap((file) => ["-P", file]),
    ...[
      "-e",
      `trace=${calls}`,
      "-e",
      `inject=${calls}:error=${error}:when=${nth}${stays ? "+" : ""}`,
    ],
  ];
}

/** How many calls met the fault, by what an injector noted. */
export function injected(trace: string): number {
  return trace.split("(INJECTED)").length - 1;
}

export function describe({ calls, error, nth, stays }: DiskFault): string {
  return `${error} at ${calls} ${nth}${stays ? " and after" : ""}`;
}
