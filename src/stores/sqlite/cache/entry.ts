import { type Session, withAccess } from "../../../domain/sessions/session.js";
import type { TokenHash } from "../../../domain/token.js";
import type { StoredSession } from "../tables/sessions.js";

/**
 * A session in memory. Its row may not have its last touches yet. To change numbers in place leaves
 * nothing to collect: a new session for every touch made the collector walk all of memory every few
 * seconds (`bench -- upkeep`).
 */
export interface Entry {
  readonly row: number;
  readonly tokenHash: TokenHash;
  /** The session without its touches since it came to memory, which the next two tell. */
  readonly untouched: Session;
  reads: number;
  lastAccessedAt: number;
  /** The reads that the file has, and those that it will have by what is under way. */
  readsInFile: number;
  readsTaken: number;
  readonly dataBytes: number;
  /** The old token that is good until the session's own is used; see `spareAfter`. */
  readonly spare: TokenHash | null;
  /** Of `createTouchedEntries` alone: whether it is one of them, and its place in their chain. */
  isTouched: boolean;
  isInChain: boolean;
  next: Entry | null;
}

export function createEntry({ row, tokenHash, session, dataBytes, spare }: StoredSession): Entry {
  const { reads, lastAccessedAt } = session;
  return {
    row,
    tokenHash,
    untouched: session,
    reads,
    lastAccessedAt,
    readsInFile: reads,
    readsTaken: reads,
    dataBytes,
    spare,
    isTouched: false,
    isInChain: false,
    next: null,
  };
}

/** The session with all its touches. */
export const latestOf = ({ untouched, reads, lastAccessedAt }: Entry): Session =>
  reads === untouched.reads ? untouched : withAccess(untouched, reads, lastAccessedAt);
