import type { Random } from "../../support/random.js";

/** The most that Node takes of a header, and many times what a parser should be handed. */
const MOST = 16_384;

/** Makes of good inputs others that are nearly good, long, or noise. */
export function createMutations(random: Random) {
  const pick = <T>(all: readonly T[]): T => {
    const one = all[random(all.length)];
    if (one === undefined) throw new Error("there is nothing to pick from");
    return one;
  };
  const noise = (length: number) => Buffer.from(Array.from({ length }, () => random(256)));
  const piece = (bytes: Buffer) => {
    const at = random(bytes.length + 1);
    return bytes.subarray(at, at + 1 + random(8));
  };

  /** One change of the bytes. */
  const change = (bytes: Buffer, seeds: readonly Buffer[]): Buffer => {
    const at = random(bytes.length + 1);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    switch (random(7)) {
      case 0:
        return Buffer.concat([before, after.subarray(1 + random(4))]);
      case 1:
        return Buffer.concat([before, noise(1 + random(3)), after]);
      case 2:
        return Buffer.concat([before, noise(1), after.subarray(1)]);
      case 3:
        return Buffer.concat([before, piece(bytes), after]);
      case 4:
        return Buffer.concat([before, pick(seeds).subarray(random(8))]);
      case 5:
        return Buffer.concat([...Array.from({ length: 2 + random(6) }, () => before), after]);
      default:
        return before;
    }
  };

  /** As long as may be, all but alike: what patterns that are not linear fail on. */
  const long = (bytes: Buffer): Buffer => {
    const unit = piece(bytes);
    if (unit.length === 0) return bytes;
    const count = Math.floor(MOST / unit.length);
    const parts = [bytes.subarray(0, random(bytes.length + 1))];
    return Buffer.concat([...parts, Buffer.alloc(count * unit.length, unit), piece(bytes)]);
  };

  return (seeds: readonly Buffer[]): Buffer => {
    const kind = random(500);
    if (kind === 0) return long(pick(seeds)).subarray(0, MOST);
    if (kind < 25) return noise(random(64));
    let bytes = pick(seeds);
    for (let left = random(4); left > 0; left--) bytes = change(bytes, seeds).subarray(0, MOST);
    return bytes;
  };
}
