import { LRUCache } from "lru-cache";
import type { TokenHash } from "../../../domain/token.js";

/** What an entry takes beside its data, in bytes, as measured on the heap. */
const ENTRY_BYTES = 800;

/** The part of the cache, one in so many, for entries that were asked for only once. */
const TRIAL_PART = 8;

interface Cached {
  readonly tokenHash: TokenHash;
  readonly dataBytes: number;
}

/**
 * A cache bounded to about `maxBytes` that keeps what is used again. What comes in is on trial
 * until it is asked for once more; only then, or while there is room, does it take the place of
 * others. So a pass over many sessions, each asked for once, drives out none that is in use.
 *
 * Entries that are pinned are found whether or not there is room; `isPinned` must be true from
 * `pin` to `unpin`.
 */
export function createSessionCache<T extends Cached>(
  maxBytes: number,
  isPinned: (entry: T) => boolean,
) {
  const sizeCalculation = (entry: T) => ENTRY_BYTES + 2 * entry.dataBytes;
  const trialBytes = Math.ceil(maxBytes / TRIAL_PART);
  /** Those for which there was no room. */
  const pinned = new Map<TokenHash, T>();
  const kept = new LRUCache<TokenHash, T>({
    maxSize: Math.max(1, maxBytes - trialBytes),
    sizeCalculation,
    disposeAfter(entry, tokenHash, reason) {
      if (reason === "evict" && isPinned(entry)) pinned.set(tokenHash, entry);
    },
  });
  const onTrial = new LRUCache<TokenHash, T>({
    maxSize: trialBytes,
    sizeCalculation,
    disposeAfter(entry, tokenHash, reason) {
      if (reason !== "evict") return;
      const hasRoom = kept.calculatedSize + sizeCalculation(entry) <= kept.maxSize;
      if (hasRoom) kept.set(tokenHash, entry);
      else if (isPinned(entry)) pinned.set(tokenHash, entry);
    },
  });

  return {
    get(tokenHash: TokenHash): T | undefined {
      const entry = kept.get(tokenHash);
      if (entry !== undefined) return entry;
      const tried = onTrial.peek(tokenHash);
      if (tried === undefined) return pinned.get(tokenHash);
      onTrial.delete(tokenHash);
      kept.set(tokenHash, tried);
      return tried;
    },

    /** The same without counting as a use. */
    peek: (tokenHash: TokenHash): T | undefined =>
      kept.peek(tokenHash) ?? onTrial.peek(tokenHash) ?? pinned.get(tokenHash),

    set(entry: T): void {
      const { tokenHash } = entry;
      pinned.delete(tokenHash);
      if (kept.has(tokenHash)) kept.set(tokenHash, entry);
      else onTrial.set(tokenHash, entry);
    },

    delete(tokenHash: TokenHash): void {
      kept.delete(tokenHash);
      onTrial.delete(tokenHash);
      pinned.delete(tokenHash);
    },

    pin(entry: T): void {
      const { tokenHash } = entry;
      if (!kept.has(tokenHash) && !onTrial.has(tokenHash)) pinned.set(tokenHash, entry);
    },

    unpin({ tokenHash }: T): void {
      if (pinned.size > 0) pinned.delete(tokenHash);
    },

    clear(): void {
      kept.clear();
      onTrial.clear();
      pinned.clear();
    },
  };
}
