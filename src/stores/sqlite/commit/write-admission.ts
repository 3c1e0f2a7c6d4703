import { overloaded } from "../../../domain/error.js";
import { createOverloadJudge } from "../../../lib/overload.js";
import type { CommitQueue } from "./commit-queue.js";

/** Milliseconds: a write that waits for longer is late, if the disk is one that keeps up. */
const LATE = 50;

/** Milliseconds that writes may be late, long enough for 5,000 where others use the disk too. */
const PATIENCE = 4_000;

/** What may wait for the disk. */
export interface WaitingLimits {
  /** Writes while writes have been late for so long that it is overload. */
  readonly overloadWrites: number;
  /** Writes at any time, a burst's too. */
  readonly writes: number;
  /** Bytes of sessions' data at any time. */
  readonly bytes: number;
}

/**
 * What throws `overloaded` if a caller's write would not be done in time, or would be held in
 * memory beside too many. A slow disk makes every write late; where few wait, none is refused.
 */
export function createWriteAdmission(
  commits: Pick<CommitQueue, "waiting" | "waitingBytes" | "longestWait">,
  limits: WaitingLimits | null,
  clock: () => number,
): () => void {
  if (limits === null) return () => {};
  const judge = createOverloadJudge({ patience: PATIENCE, spent: clock, clock });
  return () => {
    // Judged at every write: the queue cannot have emptied unless the next finds it so.
    const isOverload = judge(commits.longestWait() > LATE);
    const writes = isOverload ? limits.overloadWrites : limits.writes;
    if (commits.waiting() >= writes || commits.waitingBytes() >= limits.bytes) throw overloaded();
  };
}
