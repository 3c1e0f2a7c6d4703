import { hostname, userInfo } from "node:os";

/** This process as an operator knows it: its user of the system, host and number. */
export function processActor(): string {
  return `${userName()}@${hostname()} (pid ${process.pid})`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container's user may have a number only.
    return `uid-${process.getuid?.() ?? "unknown"}`;
  }
}
