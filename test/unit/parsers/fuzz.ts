import { LatchkeyError } from "../../../src/domain/error.js";
import { createRandom } from "../../support/random.js";
import { createMutations } from "./mutations.js";
import type { Parser } from "./parsers.js";

export interface Fuzzed {
  /** Inputs that were not answered, nor refused as they should be, in base64. */
  readonly problems: readonly string[];
  /** The longest that an input took (ms), and which. */
  readonly longest: { readonly millis: number; readonly input: Buffer };
}

/** Milliseconds from which an input is tried again: the machine may have been busy. */
const SLOW = 1;
const TRIES = 5;

/** Gives a parser `count` inputs, the same for the same seed. */
export function fuzz({ seeds, parse, mayThrow = false }: Parser, count: number, seed: number) {
  const make = createMutations(createRandom(seed));
  const problems: string[] = [];
  let longest: Fuzzed["longest"] = { millis: 0, input: Buffer.alloc(0) };
  const time = (input: Buffer): number => {
    const start = performance.now();
    try {
      parse(input);
    } catch (error) {
      if (!mayThrow && !(error instanceof LatchkeyError)) {
        problems.push(`${input.subarray(0, 300).toString("base64")}: ${error}`);
      }
    }
    return performance.now() - start;
  };
  for (let n = 0; n < count && problems.length < 10; n++) {
    const input = make(seeds);
    let millis = time(input);
    if (millis > SLOW) {
      millis = Math.min(...Array.from({ length: TRIES }, () => time(input)));
    }
    if (millis > longest.millis) longest = { millis, input };
  }
  return { problems, longest } satisfies Fuzzed;
}
