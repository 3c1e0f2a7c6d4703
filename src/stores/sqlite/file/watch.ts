import { statSync } from "node:fs";
import { LatchkeyError } from "../../../domain/error.js";

/** Milliseconds between two looks: as long, calls may be answered that are nowhere after. */
export const LOOK_INTERVAL = 1_000;

/** Which file is at a path. */
export interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
}

export interface FileWatchOptions {
  /** The database file. */
  readonly path: string;
  /** Which file is at the path; undefined if there is none. May throw: then it is not known. */
  readonly identify?: (path: string) => FileIdentity | undefined;
  /** Does work again and again, after so many milliseconds each; what it answers stops that. */
  readonly every: (milliseconds: number, work: () => void) => () => void;
  /** Told once, in words for an operator, when a file is not the one that it was. */
  readonly onLost: (error: LatchkeyError) => void;
}

/** Which file is at the path now. */
export function identifyFile(path: string): FileIdentity | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false });
}

/**
 * Watches that the files of an open database stay the ones that were opened: this process goes on
 * with files that were deleted or replaced, and nobody else ever sees what it writes there.
 * Answers what ends the watch.
 */
export function watchFiles(options: FileWatchOptions): () => void {
  const { path, identify = identifyFile, every, onLost } = options;
  const files = [path, `${path}-wal`, `${path}-shm`, `${path}.lock`];
  const known = new Map<string, FileIdentity>();

  /** Whether the file is another than before, or none. One that is not there yet is not lost. */
  const isLost = (file: string): boolean => {
    let found: FileIdentity | undefined;
    try {
      found = identify(file);
    } catch {
      return false;
    }
    const before = known.get(file);
    if (before) return found?.dev !== before.dev || found.ino !== before.ino;
    if (found) known.set(file, found);
    return false;
  };

  for (const file of files) isLost(file);
  const stop = every(LOOK_INTERVAL, () => {
    const lost = files.find(isLost);
    if (lost === undefined) return;
    stop();
    onLost(lostFile(path, lost));
  });
  return stop;
}

function lostFile(path: string, lost: string): LatchkeyError {
  const happened = `${lost} was deleted or replaced while the server used it`;
  const advice =
    lost === `${path}.lock`
      ? "another server may use the database by now: see that there is only one, and start it again"
      : "writes of the last moments may be lost: put the database's file or a backup in its place while no server runs, and start the server again";
  return new LatchkeyError("unavailable", `${happened}. ${advice}`);
}
