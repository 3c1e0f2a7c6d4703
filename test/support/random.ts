import { randomInt } from "node:crypto";
import type { TestContext } from "node:test";

/** Whole numbers from 0 up to, not including, `below`. */
export type Random = (below: number) => number;

/** The same sequence for the same seed. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** The seed of a run, TEST_SEED if that is set; the report shows it. */
export function seedOf(t: TestContext): number {
  const seed = numberOf("TEST_SEED", randomInt(2 ** 31));
  t.diagnostic(`TEST_SEED=${seed}`);
  return seed;
}

/** A whole number from this process's environment, or `usual`. */
export function numberOf(variable: string, usual: number): number {
  const text = process.env[variable];
  if (text === undefined) return usual;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new Error(`${variable} must be a whole number of at least 1`);
}
