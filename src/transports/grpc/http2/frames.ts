import { MOST_INFLATED } from "../../call/byte-budget.js";

/** Bytes before a message: a flag that says whether it is compressed, and its length. */
const PREFIX = 5;

/** How far the frames of one stream were followed. A plain record: there is one for each call. */
export interface Frames {
  /** Bytes of the prefix that were read, */
  prefix: number;
  /** and of the message that were not. */
  left: number;
  length: number;
  isPacked: boolean;
  /**
   * What the messages weigh that came whole and were not taken, the oldest first; null where
   * nobody takes them.
   */
  readonly whole: number[] | null;
}

/** The beginning of a stream. `keeps`: whether messages that came whole are remembered until they are taken. */
export function beginFrames(keeps: boolean): Frames {
  return { prefix: 0, left: 0, length: 0, isPacked: false, whole: keeps ? [] : null };
}

/** Whether part of a message has come. */
export const isWithin = (frames: Frames): boolean => frames.prefix > 0;

/** The oldest message was taken. Answers what it weighed. */
export const takeMessage = (frames: Frames): number => frames.whole?.shift() ?? 0;

/**
 * Goes on by a part of the stream, without keeping any of its content. Answers what the messages
 * weigh of which it has the beginning. A message has at most `maxMessage` bytes, packed or not; that a
 * longer one is refused is for others to see to.
 */
export function pushPart(frames: Frames, part: Uint8Array, maxMessage: number): number {
  let begun = 0;
  let at = 0;
  while (at < part.length) {
    if (frames.prefix < PREFIX) {
      const byte = part[at++] ?? 0;
      if (frames.prefix === 0) {
        frames.isPacked = byte === 1;
        frames.length = 0;
      } else {
        frames.length = frames.length * 256 + byte;
      }
      frames.prefix++;
      if (frames.prefix < PREFIX) continue;
      frames.left = frames.length;
      begun += weight(frames, maxMessage);
    } else {
      const taken = Math.min(frames.left, part.length - at);
      at += taken;
      frames.left -= taken;
    }
    if (frames.left === 0) {
      frames.whole?.push(weight(frames, maxMessage));
      frames.prefix = 0;
    }
  }
  return begun;
}

/** Bytes of memory that the present message may take. */
function weight({ length, isPacked }: Frames, maxMessage: number): number {
  return Math.min(maxMessage, isPacked ? length * MOST_INFLATED : length);
}
