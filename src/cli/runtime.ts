/**
 * The oldest Node that Latchkey runs on, as in package.json's `engines`: the first of its line with
 * Node-API 10, without which better-sqlite3 ends the process by SIGSEGV.
 */
export const OLDEST_NODE = "22.14";

/**
 * V8's options for a server; `npm run bench -- flags` measures each.
 * - A young generation of 8 MiB halves stays in a processor's cache, as V8's own 16 MiB do not.
 * - V8's own work gets one thread: four take every processor from the event loop whenever all of
 *   memory is collected.
 * - Old memory may double before that happens, which V8 would do for every 15 MB, but not below
 *   64 MiB, so that no start is interrupted by it.
 */
export const SERVER_FLAGS = [
  "--max-semi-space-size=8",
  "--v8-pool-size=1",
  "--heap-growing-percent=100",
  "--initial-old-space-size=64",
];

/** Whether a Node of this version, such as `22.12.0`, is too old. */
export function isTooOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_NODE.split(".").map(Number);
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
}

/** Returns the options that a server has beside those that Node was given, which stand. */
export function missingFlags(given: readonly string[]): string[] {
  const nameOf = (flag: string) => flag.split("=")[0]?.replaceAll("_", "-");
  const names = new Set(given.map(nameOf));
  return SERVER_FLAGS.filter((flag) => !names.has(nameOf(flag)));
}
