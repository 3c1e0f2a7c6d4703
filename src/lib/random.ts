/** Returns the given number of bytes from a cryptographic generator. */
export type RandomBytes = (size: number) => Uint8Array;

/** Bytes drawn at a time: some forty sessions' worth. */
const POOL = 4_096;

/**
 * Random bytes handed out of a larger draw, each once: a draw costs a system
 * call, which is more than all else that making a token takes.
 */
export function createRandomSource(draw: (size: number) => Uint8Array): RandomBytes {
  let pool: Uint8Array = new Uint8Array(0);
  return (size) => {
    if (size > pool.length) pool = draw(Math.max(size, POOL));
    const handedOut = pool.subarray(0, size);
    pool = pool.subarray(size);
    return handedOut;
  };
}
