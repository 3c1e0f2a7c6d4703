import { LatchkeyError } from "../domain/error.js";
import {
  KEY_BYTES,
  type KeyOrigin,
  type Keyring,
  type RkeSession,
  type SessionUsage,
} from "../domain/rke/keyring.js";
import type { LockedMemory } from "./locked-memory.js";

export interface KeyringOptions {
  /** How many sessions there may be. */
  readonly slots: number;
  /** How many keys may be kept for their domains. */
  readonly cachedKeys: number;
  /** Called once, for all keys together. */
  readonly allocate: (size: number) => LockedMemory;
  /** Told, once, if the memory could not be locked. */
  readonly warn: (message: string) => void;
}

interface Held extends RkeSession {
  readonly key: Buffer;
  readonly usage: SessionUsage;
}

interface Cached {
  readonly origin: KeyOrigin;
  readonly key: Buffer;
  readonly expiresAt: number;
}

/** A keyring in this process's memory. */
export function createKeyring({ slots, cachedKeys, allocate, warn }: KeyringOptions): Keyring {
  const memory = allocate((slots + cachedKeys) * KEY_BYTES);
  if (!memory.isLocked) {
    warn(
      `RKE keys cannot be locked in memory and may reach swap: raise RLIMIT_MEMLOCK (ulimit -l, or LimitMEMLOCK= of the systemd unit) by ${Math.ceil(memory.bytes.length / 1024)} KiB`,
    );
  }
  const keyAt = (index: number) =>
    memory.bytes.subarray(index * KEY_BYTES, (index + 1) * KEY_BYTES);
  const freeSlots = Array.from({ length: slots }, (_, index) => keyAt(index));
  const freeCache = Array.from({ length: cachedKeys }, (_, index) => keyAt(slots + index));
  const sessions = new Map<string, Held>();
  const cache = new Map<string, Cached>();
  let isClosed = false;

  const give = (key: Buffer, free: Buffer[]) => {
    key.fill(0);
    free.push(key);
  };
  const end = (session: Held) => {
    sessions.delete(session.id);
    give(session.key, freeSlots);
  };
  const forget = (domain: string) => {
    const found = cache.get(domain);
    if (!found) return;
    cache.delete(domain);
    give(found.key, freeCache);
  };
  /** The session, if it lives; one that expired is ended on the spot. */
  const find = (id: string, now: number): Held | null => {
    const found = sessions.get(id);
    if (!found || now < found.expiresAt) return found ?? null;
    end(found);
    return null;
  };
  const sweepSessions = (now: number) => {
    for (const id of [...sessions.keys()]) find(id, now);
  };

  return {
    reserve(now) {
      sweepSessions(now);
      const key = isClosed ? undefined : freeSlots.pop();
      if (!key) return null;
      let isTaken = true;
      const release = () => {
        if (!isTaken) return;
        isTaken = false;
        give(key, freeSlots);
      };
      return {
        key,
        release,
        open(id, origin, lifetime) {
          if (isClosed) {
            release();
            throw new LatchkeyError("unavailable", "the server is stopping");
          }
          isTaken = false;
          const session = { id, origin, ...lifetime, key, usage: { encrypts: 0, decrypts: 0 } };
          sessions.set(id, session);
          return show(session);
        },
      };
    },

    get(id, now) {
      const found = find(id, now);
      return found && show(found);
    },

    list(now) {
      return [...sessions.values()].filter(({ expiresAt }) => now < expiresAt).map(show);
    },

    delete(id, now) {
      const found = find(id, now);
      if (found) end(found);
      return found && show(found);
    },

    use(id, now, use) {
      const found = find(id, now);
      return found && use(found.key, found.origin, found.usage);
    },

    remember(origin, key, expiresAt) {
      if (isClosed) return;
      forget(origin.domain);
      if (freeCache.length === 0) {
        const [first] = [...cache.values()].sort((a, b) => a.expiresAt - b.expiresAt);
        if (first) forget(first.origin.domain);
      }
      const own = freeCache.pop();
      if (!own) return;
      key.copy(own);
      cache.set(origin.domain, { origin, key: own, expiresAt });
    },

    recall(domain, now, key) {
      const found = cache.get(domain);
      if (!found) return null;
      if (now >= found.expiresAt) {
        forget(domain);
        return null;
      }
      found.key.copy(key);
      return found.origin;
    },

    forget,

    async sweep(now) {
      sweepSessions(now);
      for (const { origin, expiresAt } of [...cache.values()]) {
        if (now >= expiresAt) forget(origin.domain);
      }
      return false;
    },

    stats: () => ({
      slots,
      sessions: sessions.size,
      reserved: slots - freeSlots.length - sessions.size,
      cachedKeys: cache.size,
    }),

    close() {
      isClosed = true;
      for (const session of [...sessions.values()]) end(session);
      for (const domain of [...cache.keys()]) forget(domain);
      // What an exchange under way has written, too; what it will write, its slot's release zeroes.
      memory.bytes.fill(0);
    },
  };
}

/** As the outside sees it: a copy, and without the key. */
function show({ id, origin, createdAt, expiresAt, usage }: Held): RkeSession {
  return { id, origin, createdAt, expiresAt, usage: { ...usage } };
}
