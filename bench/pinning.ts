import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

/** What precedes a command line: nothing, or the pinning to processors. */
export type Pin = readonly string[];

/**
 * The load gets the last processor and the Node server under test the others,
 * so that neither is moved about. Redis is not pinned: with two processors it
 * may have what the load leaves of its own, and need not share with its Node
 * server. Without `taskset`, or without a second processor, nothing is pinned.
 */
export function choosePins(): { readonly server: Pin; readonly load: Pin } {
  const last = availableParallelism() - 1;
  const server = ["taskset", "--cpu-list", `0-${last - 1}`];
  const load = ["taskset", "--cpu-list", `${last}`];
  const works = ([command = "", ...args]: Pin) =>
    spawnSync(command, [...args, "true"], { stdio: "ignore" }).status === 0;
  return last > 0 && works(server) && works(load) ? { server, load } : { server: [], load: [] };
}

export function pinned(
  pin: Pin,
  [command, ...args]: readonly [string, ...string[]],
): [string, ...string[]] {
  const [first, ...rest] = pin;
  return first === undefined ? [command, ...args] : [first, ...rest, command, ...args];
}
