/** Cuts a stream of bytes, which comes in chunks of any length, into segments. */
export interface Segmenter {
  /**
   * Takes a chunk in, and yields the segments that are full and not the stream's last. Each is
   * valid until the next is asked for; all must be taken.
   */
  cut(chunk: Uint8Array): Iterable<Buffer>;

  /** The last segment: what is left, full or not, and empty only if there were no bytes at all. */
  last(): Buffer;
}

/**
 * `sizeOf` says how many bytes the segment of an index has, at most `max`; that much memory is
 * held and no more, whatever the stream's length.
 */
export function createSegmenter(max: number, sizeOf: (index: number) => number): Segmenter {
  const held = Buffer.alloc(max);
  let filled = 0;
  let index = 0;
  return {
    *cut(chunk) {
      for (let at = 0; at < chunk.length; ) {
        // Only a byte after it shows that a full segment is not the last.
        if (filled === sizeOf(index)) {
          yield held.subarray(0, filled);
          filled = 0;
          index++;
        }
        const taken = chunk.subarray(at, at + sizeOf(index) - filled);
        held.set(taken, filled);
        filled += taken.length;
        at += taken.length;
      }
    },
    last: () => held.subarray(0, filled),
  };
}
