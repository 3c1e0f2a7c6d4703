import { type OldTokenUse, useOfOldToken } from "../../../domain/sessions/rotation.js";
import type { TokenHash } from "../../../domain/token.js";
import type { Entry } from "../cache/entry.js";
import type { WorkingSet } from "../cache/working-set.js";
import type { FormerlyOpened } from "../tables/rotated-tokens.js";

/** A session, and until when (ms) a token that was rotated opens it whatever happens. */
interface Opened {
  readonly entry: Entry;
  readonly graceEndsAt: number;
}

/** A session that an old token of it is used for. */
export interface UsedAgain {
  readonly entry: Entry;
  readonly use: OldTokenUse;
}

/** What finds sessions by tokens that were rotated. `read` asks the file; `isOpen` tells whether
 * the entry is a live session of the app. */
export function createRotatedTokens(
  memory: Pick<WorkingSet, "graceOf" | "follow" | "admit">,
  read: (app: string, tokenHash: TokenHash) => FormerlyOpened | null,
  isOpen: (app: string, entry: Entry, now: number) => boolean,
) {
  const lookUp = (app: string, tokenHash: TokenHash): Opened | null => {
    const pending = memory.graceOf(tokenHash);
    if (pending !== undefined) {
      const entry = memory.follow(tokenHash);
      return entry ? { entry, graceEndsAt: pending } : null;
    }
    const found = read(app, tokenHash);
    if (!found) return null;
    const { stored, graceEndsAt } = found;
    const latest = memory.follow(stored.tokenHash);
    const entry = latest === undefined ? memory.admit(stored) : latest;
    return entry && { entry, graceEndsAt };
  };

  /** The live session of a token, and what the token's use is. */
  return (app: string, tokenHash: TokenHash, now: number): UsedAgain | null => {
    const found = lookUp(app, tokenHash);
    if (!found || !isOpen(app, found.entry, now)) return null;
    const { entry, graceEndsAt } = found;
    return { entry, use: useOfOldToken(tokenHash, graceEndsAt, entry.spare, now) };
  };
}
