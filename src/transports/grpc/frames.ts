import { MOST_INFLATED } from "../byte-budget.js";

/** Bytes before a message: a flag that says whether it is compressed, and its length. */
const PREFIX = 5;

export type Frames = ReturnType<typeof createFrames>;

/**
 * Follows the frames in a stream of gRPC, without keeping any of their content. A message has at
 * most `maxMessage` bytes, packed or not; that a longer one is refused is for others to see to.
 * `keeps`: whether messages that came whole are remembered until they are taken.
 */
export function createFrames(maxMessage: number, keeps: boolean) {
  /** Bytes of the prefix that were read, and of the message that were not. */
  let prefix = 0;
  let left = 0;
  let length = 0;
  let isPacked = false;
  /** What the messages weigh that came whole and were not taken, the oldest first. */
  const whole: number[] = [];

  /** Bytes of memory that a message may take. */
  const weight = () => Math.min(maxMessage, isPacked ? length * MOST_INFLATED : length);

  return {
    /** Whether part of a message has come. */
    isWithin: () => prefix > 0,

    /** Goes on by a part of the stream. Answers what the messages weigh of which it has the beginning. */
    push(part: Uint8Array): number {
      let begun = 0;
      let at = 0;
      while (at < part.length) {
        if (prefix < PREFIX) {
          const byte = part[at++] ?? 0;
          if (prefix === 0) {
            isPacked = byte === 1;
            length = 0;
          } else {
            length = length * 256 + byte;
          }
          prefix++;
          if (prefix < PREFIX) continue;
          left = length;
          begun += weight();
        } else {
          const taken = Math.min(left, part.length - at);
          at += taken;
          left -= taken;
        }
        if (left === 0) {
          if (keeps) whole.push(weight());
          prefix = 0;
        }
      }
      return begun;
    },

    /** The oldest message was taken. Answers what it weighed. */
    take: (): number => whole.shift() ?? 0,
  };
}
