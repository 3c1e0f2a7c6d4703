import { LatchkeyError } from "../error.js";
import type { TokenHash } from "../token.js";
import type { Session } from "./session.js";

/** Of a session's old tokens, how many are known: the newest. */
export const OLD_TOKENS = 100;

/**
 * What the use of a token that a session had before is: `open` opens the session, `retry`
 * too, and may rotate it again, `theft` ends it.
 */
export type OldTokenUse = "open" | "retry" | "theft";

/**
 * What the use of an old token is at `now` (ms). `spare` is the session's, see `spareAfter`. Every
 * store decides by this function alone.
 */
export function useOfOldToken(
  tokenHash: TokenHash,
  graceEndsAt: number,
  spare: TokenHash | null,
  now: number,
): OldTokenUse {
  if (now < graceEndsAt) return "open";
  return spare === tokenHash ? "retry" : "theft";
}

/**
 * The session's spare token after a rotation of `from`: the old one that stays good as long as
 * nobody used the new one, whose answer may be lost. Its first use leaves no spare.
 */
export function spareAfter(from: TokenHash, { isReceived }: Rotation): TokenHash | null {
  return isReceived ? null : from;
}

/** A new token for a session. */
export interface Rotation {
  readonly to: TokenHash;
  /** The instant (ms) from which the use of the old one is theft. */
  readonly graceEndsAt: number;
  /** Whether the new token counts as used from the start. */
  readonly isReceived?: boolean;
  /** Kept with the answer; see `Rotated`. */
  readonly salt: string;
  /** What else becomes of the session. Must be pure; what it throws rejects the call. */
  readonly change: (session: Session) => Session;
}

/** What came of a rotation. */
export interface Rotated {
  readonly session: Session;
  readonly graceEndsAt: number;
  /** What was given to the rotation that is answered: this one, or the one that it repeats. */
  readonly salt: string;
}

/** The refusal of a rotation of a token that is in its grace. */
export function rotatedAlready(): LatchkeyError {
  return new LatchkeyError(
    "version_mismatch",
    "the token was rotated already: use the one that the other call was answered",
  );
}
