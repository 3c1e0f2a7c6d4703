import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

/** What precedes a command line: nothing, or the pinning to processors. */
export type Pin = readonly string[];

/**
 * The load gets the last processor. Servers are not pinned: all of them have a
 * second process or threads (Redis; the disk and the collector of Node), which
 * may have what the load leaves of its own. Without `taskset`, or without a
 * second processor, nothing is pinned.
 */
export function chooseLoadPin(): Pin {
  const last = availableParallelism() - 1;
  const pin = ["taskset", "--cpu-list", `${last}`] as const;
  const [command, ...args] = pin;
  const works = spawnSync(command, [...args, "true"], { stdio: "ignore" }).status === 0;
  return last > 0 && works ? pin : [];
}

export function pinned(
  pin: Pin,
  [command, ...args]: readonly [string, ...string[]],
): [string, ...string[]] {
  const [first, ...rest] = pin;
  return first === undefined ? [command, ...args] : [first, ...rest, command, ...args];
}
