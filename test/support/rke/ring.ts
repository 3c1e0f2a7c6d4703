import { hash } from "node:crypto";
import { KEY_BYTES, type KeyOrigin } from "../../../src/domain/rke/keyring.js";
import { createKeyring, type KeyringOptions } from "../../../src/rke/keyring.js";
import { allocateLocked } from "../../../src/rke/locked-memory.js";
import { DERIVED } from "./fake-exchange.js";

/** A keyring over real locked memory, into which the test looks. */
export function createRing(options: Partial<KeyringOptions> = {}) {
  const memories: Buffer[] = [];
  const warnings: string[] = [];
  const keyring = createKeyring({
    slots: 3,
    cachedKeys: 2,
    warn: (message) => warnings.push(message),
    ...options,
    allocate(size) {
      const memory = (options.allocate ?? allocateLocked)(size);
      memories.push(memory.bytes);
      return memory;
    },
  });
  const [memory = Buffer.alloc(0)] = memories;
  return {
    keyring,
    memories,
    warnings,
    /** The keys in memory, in hexadecimal and in order: all that is not zero. */
    keysInMemory(): string[] {
      const keys: string[] = [];
      for (let at = 0; at < memory.length; at += KEY_BYTES) {
        const key = memory.subarray(at, at + KEY_BYTES);
        if (key.some((byte) => byte !== 0)) keys.push(key.toString("hex"));
      }
      return keys.sort();
    },
  };
}

/** A key that no other name has, and its origin. */
export const keyOf = (name: string | number): Buffer => hash("sha256", `key ${name}`, "buffer");
export const originOf = (domain: string): KeyOrigin => ({
  ...DERIVED,
  domain,
  usage: { gcmMessages: 0 },
});

/** The id of the session of this number. */
export const idOf = (number: number): string => number.toString(16).padStart(32, "0");

/** Opens a session that lives from `createdAt` (ms) for 1000 ms, with the key of its number. */
export function openSession(
  { keyring }: Pick<ReturnType<typeof createRing>, "keyring">,
  number: number,
  createdAt = 0,
) {
  const slot = keyring.reserve(createdAt);
  if (!slot) return null;
  keyOf(number).copy(slot.key);
  const lifetime = { createdAt, expiresAt: createdAt + 1_000 };
  return slot.open(idOf(number), originOf(`${number}.example`), lifetime);
}
