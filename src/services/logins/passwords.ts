import * as argon2 from "@node-rs/argon2";
import { createFairQueue, type FairQueueOptions, type Turn } from "./fair-queue.js";

/** What OWASP's password storage cheat sheet asks of argon2id; the memory is in KiB. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

/** How hashes with these parameters begin. */
const { memoryCost, timeCost, parallelism } = PARAMETERS;
const CURRENT = `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$`;

/** A hash that no known password has, of the size of all others: a salt of 16 bytes, 32 of hash. */
const DECOY = `${CURRENT}${"A".repeat(22)}$${"A".repeat(43)}`;

/**
 * Two leave half of the process's threads to the disk. 1,024 strangers are some 6 s of work on two free cores, and
 * one of each network where that many attack.
 */
export const PASSWORD_LIMITS: FairQueueOptions = {
  running: 2,
  waiting: { known: 256, strangers: 1_024 },
};

/** The turn of the process itself: of its command line, say. */
const OWN_TURN: Turn = { isKnown: true, groups: ["", ""] };

export interface Passwords {
  /** The form of a password that stores keep: argon2id with a salt of its own. */
  hash(password: string): Promise<string>;

  /**
   * Whether the hash is the password's. Without a hash it is not, which takes the same
   * time to find out. Without a turn it is one of the process itself.
   */
  verify(hash: string | null, password: string, turn?: Turn): Promise<boolean>;

  /** Whether the hash was made with other parameters than `hash` uses. */
  needsRehash(hash: string): boolean;
}

/**
 * Hashes and checks passwords in threads, at most two at a time, the others in the order of their
 * turns. `hash` and `verify` reject with `limit` if too many wait already.
 */
export function createPasswords(limits: FairQueueOptions = PASSWORD_LIMITS): Passwords {
  const inTurn = createFairQueue(limits);
  return {
    hash: (password) => inTurn(OWN_TURN, () => argon2.hash(normalized(password), PARAMETERS)),

    verify: (hash, password, turn = OWN_TURN) =>
      inTurn(turn, async () => {
        const isRight = await argon2.verify(hash ?? DECOY, normalized(password));
        return isRight && hash !== null;
      }),

    needsRehash: (hash) => !hash.startsWith(CURRENT),
  };
}

/** One form for what looks the same, however a keyboard composes it (RFC 8265, OpaqueString). */
function normalized(password: string): string {
  return password.normalize("NFC");
}
