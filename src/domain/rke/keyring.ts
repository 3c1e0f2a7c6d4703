import type { DerivedKey } from "./key-exchange.js";

/** Bytes of a key: AES-256. */
export const KEY_BYTES = 32;

/** What a key has been used for, by all sessions that hold it. */
export interface KeyUsage {
  /** Messages encrypted by AES-256-GCM. */
  gcmMessages: number;
}

/** A key without its bytes: how it was made, with whom, and what it has been used for. */
export interface KeyOrigin extends DerivedKey {
  readonly domain: string;
  readonly usage: KeyUsage;
}

/** When a session lives: milliseconds since 1970. */
export interface Lifetime {
  readonly createdAt: number;
  /** From this instant on it is refused. */
  readonly expiresAt: number;
}

/** What a session was used for. */
export interface SessionUsage {
  encrypts: number;
  decrypts: number;
}

/** An RKE session as its ring knows it: everything but the key. */
export interface RkeSession extends Lifetime {
  /** 32 lower-case hexadecimal digits. */
  readonly id: string;
  readonly origin: KeyOrigin;
  readonly usage: Readonly<SessionUsage>;
}

/** A place in the ring that is kept for a session to come. */
export interface KeySlot {
  /** Where the key is to be written: 32 zero bytes, locked in memory. */
  readonly key: Buffer;

  /** Makes it a session, as which the key is then used. Throws `unavailable` if the ring is closed. */
  open(id: string, origin: KeyOrigin, lifetime: Lifetime): RkeSession;

  /** Zeroes the key and gives the place back; nothing once it is a session. */
  release(): void;
}

/**
 * Keeps the keys of sessions, and for a while those of domains, in memory that is
 * allocated once, locked as far as the system permits, and zeroed as soon as a key
 * is not used any more. Whether a session or a cached key lives is decided by its
 * lifetime alone, at the instant that each method is given; sweeping wipes what
 * nobody asks for.
 */
export interface Keyring {
  /** Takes a free place, which those of expired sessions are; null if there is none. */
  reserve(now: number): KeySlot | null;

  /** The live session of this id. */
  get(id: string, now: number): RkeSession | null;

  /** All live sessions, the oldest first. */
  list(now: number): RkeSession[];

  /** Ends a live session, its key zeroed, and answers what it was. */
  delete(id: string, now: number): RkeSession | null;

  /**
   * What `use` makes of a live session's key, or null if there is no such session.
   * `use` must be done with the key when it returns, so that none is zeroed in use.
   */
  use<T>(
    id: string,
    now: number,
    use: (key: Buffer, origin: KeyOrigin, usage: SessionUsage) => T,
  ): T | null;

  /** Keeps a copy of a key for its domain, in place of the one that expires first if all places are taken. */
  remember(origin: KeyOrigin, key: Buffer, expiresAt: number): void;

  /** Writes the domain's key into `key` and answers its origin; null if none is kept. */
  recall(domain: string, now: number, key: Buffer): KeyOrigin | null;

  /** Zeroes the domain's kept key. */
  forget(domain: string): void;

  /** Zeroes the keys of expired sessions, and kept ones that expired; never more to do. */
  sweep(now: number): Promise<false>;

  stats(): KeyringStats;

  /** Zeroes everything; no session is found or made after this. */
  close(): void;
}

export interface KeyringStats {
  /** Places in the ring. */
  readonly slots: number;
  /** Of them, those that sessions have, expired ones not yet swept included. */
  readonly sessions: number;
  /** Of them, those that are kept for exchanges under way. */
  readonly reserved: number;
  /** Keys that are kept for their domains. */
  readonly cachedKeys: number;
}
