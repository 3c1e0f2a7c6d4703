import sodium from "sodium-native";

/** Memory for keys. */
export interface LockedMemory {
  /** Zeroed, between guard pages, kept out of core dumps. */
  readonly bytes: Buffer;
  /** Whether the system keeps it out of swap. */
  readonly isLocked: boolean;
}

/**
 * Allocates memory of its own. libsodium gives it unlocked, without a word, where the
 * limit on locked memory (RLIMIT_MEMLOCK) is reached; so it is locked again here, to
 * be told.
 */
export function allocateLocked(size: number): LockedMemory {
  const bytes = sodium.sodium_malloc(size);
  bytes.fill(0);
  try {
    sodium.sodium_mlock(bytes);
    return { bytes, isLocked: true };
  } catch {
    return { bytes, isLocked: false };
  }
}
