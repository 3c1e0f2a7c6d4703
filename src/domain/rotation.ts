import { LatchkeyError } from "./error.js";
import type { Session } from "./session.js";
import type { TokenHash } from "./token.js";

/** Of a session's old tokens, how many are known: the newest. */
export const OLD_TOKENS = 100;

/** A new token for a session. */
export interface Rotation {
  readonly to: TokenHash;
  /** The instant (ms) from which the use of the old one is theft. */
  readonly graceEndsAt: number;
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
