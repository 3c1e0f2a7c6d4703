import { closeSync, fsyncSync, openSync } from "node:fs";

/** Puts a file on disk, or the names that a folder holds. Throws what the system says. */
export function syncPath(path: string): void {
  const handle = openSync(path, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
