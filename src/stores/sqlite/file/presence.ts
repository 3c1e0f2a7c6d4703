import { statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { describeFault, LatchkeyError } from "../../../domain/error.js";

/**
 * Whether there is a file at the path. Throws `unavailable` if that cannot be told, as where the
 * user may not look into its folder: nobody should be told then that there is none.
 */
export function isFileThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    const reason = describeFault(error);
    throw new LatchkeyError("unavailable", `cannot read ${path}: ${reason}`, { cause: error });
  }
}

/** Bytes that this user may write beside the file at the path; Infinity if that is not known. */
export function freeBytesAt(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
