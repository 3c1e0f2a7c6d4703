import { closeSync, existsSync, mkdirSync, openSync, realpathSync } from "node:fs";
import { dirname } from "node:path";

/** Makes the file if it is missing, closed to other users, and answers its path with links resolved. */
export function createPrivate(path: string): string {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // Only a file that this makes is closed here: to close any file of a process
  // drops the locks that SQLite in the same process holds on it.
  if (!existsSync(path)) create(path);
  return realpathSync(path);
}

function create(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    // Another process was first, and made it in the same way.
    const isThere = error instanceof Error && "code" in error && error.code === "EEXIST";
    if (!isThere) throw error;
  }
}
