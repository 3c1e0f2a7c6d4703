import { closeSync, existsSync, mkdirSync, openSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import { syncPath } from "./sync-path.js";

/**
 * Makes the file if it is missing, closed to other users, and answers its path with links
 * resolved. Folders that it makes outlive a power cut; the file does once it is synced in its
 * own, which SQLite does with its log.
 */
export function createPrivate(path: string): string {
  const folder = dirname(path);
  const first = mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (first !== undefined) syncNames(first, folder);
  // Only a file that this makes is closed here: to close any file of a process
  // drops the locks that SQLite in the same process holds on it.
  if (!existsSync(path)) create(path);
  return realpathSync(path);
}

/** Puts the names of all folders from `first` down to `last` on disk. */
function syncNames(first: string, last: string): void {
  for (let folder = last; folder.length >= first.length; folder = dirname(folder)) {
    syncPath(dirname(folder));
  }
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
