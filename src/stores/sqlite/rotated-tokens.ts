import type { TokenHash } from "../../domain/token.js";
import type { FormerlyOpened } from "./rows.js";
import type { Entry, WorkingSet } from "./working-set.js";

/** A session, and until when (ms) a token that was rotated opens it too. */
export interface RotatedFrom {
  readonly entry: Entry;
  readonly graceEndsAt: number;
}

/**
 * The session that the token opened before it was rotated, alive or not; null if there is none.
 * `read` asks the file.
 */
export function findRotated(
  memory: Pick<WorkingSet, "graceOf" | "follow" | "admit">,
  tokenHash: TokenHash,
  read: () => FormerlyOpened | null,
): RotatedFrom | null {
  const pending = memory.graceOf(tokenHash);
  if (pending !== undefined) {
    const entry = memory.follow(tokenHash);
    return entry ? { entry, graceEndsAt: pending } : null;
  }
  const found = read();
  if (!found) return null;
  const { stored, graceEndsAt } = found;
  const latest = memory.follow(stored.tokenHash);
  const entry = latest === undefined ? memory.admit(stored) : latest;
  return entry && { entry, graceEndsAt };
}
