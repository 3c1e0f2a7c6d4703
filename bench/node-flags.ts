import manifest from "../package.json" with { type: "json" };

/**
 * What `npm start` passes to Node: a young generation of 8 MiB halves, which stay in a processor's
 * cache. V8's own 16 MiB do not, and made some processes a third slower than others of the same
 * program. And one thread for V8's own work: four take both processors from the event loop whenever all
 * of memory is collected (`bench -- upkeep`). And old memory may double before that happens, which
 * V8 would do for every 15 MB; but not below 64 MiB, since a collection in the middle of a start left
 * the program a tenth slower for a while. The ceilings have all of these, too.
 */
export const NODE_FLAGS = manifest.scripts.start.split(" ").filter((word) => word.startsWith("--"));
