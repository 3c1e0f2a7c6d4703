import type { TokenHash } from "../../domain/token.js";
import type { Entry } from "./entry.js";
import type { FormerlyOpened } from "./rows.js";
import type { WorkingSet } from "./working-set.js";

/** A session, and until when (ms) a token that was rotated opens it too. */
interface Opened {
  readonly entry: Entry;
  readonly graceEndsAt: number;
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

  const find = (app: string, tokenHash: TokenHash, now: number): Opened | null => {
    const found = lookUp(app, tokenHash);
    return found && isOpen(app, found.entry, now) ? found : null;
  };

  return {
    /** The live session of a token that is in its grace. */
    inGrace(app: string, tokenHash: TokenHash, now: number): Entry | null {
      const found = find(app, tokenHash, now);
      return found && now < found.graceEndsAt ? found.entry : null;
    },

    /** The live session of a token whose grace is over. */
    stolen(app: string, tokenHash: TokenHash, now: number): Entry | null {
      const found = find(app, tokenHash, now);
      return found && now >= found.graceEndsAt ? found.entry : null;
    },
  };
}
