#!/usr/bin/env node
import { isTooOld, OLDEST_NODE } from "./cli/runtime.js";

if (isTooOld(process.versions.node)) {
  process.stderr.write(
    `latchkey: needs Node ${OLDEST_NODE} or later, and ${process.execPath} is ${process.version}\n`,
  );
  process.exit(1);
}
// Loaded only now: some of its packages end an older Node by a signal.
const { runCommand } = await import("./cli/program.js");
await runCommand(process.argv);
