import { LatchkeyError } from "../../domain/error.js";

/** Bytes of a frame's length, big-endian, before its body. */
const HEADER = 4;

/** Bytes of the longest body that is read. */
export const FRAME_LIMIT = 65_536;

export interface FrameReader {
  /** Takes what has arrived, split in any way. */
  push(chunk: Buffer): void;
  /**
   * The body of the next frame, or null until more is pushed. Throws `invalid` at a length over
   * the limit, and from then on: what follows can't be told apart.
   */
  next(): Buffer | null;
}

/** Cuts a stream of bytes into frames. It holds one frame and what was pushed beyond it. */
export function createFrameReader(limit: number): FrameReader {
  const header: Buffer = Buffer.alloc(HEADER);
  // The part that is being filled: the header, or a body.
  let part: Buffer = header;
  let filled = 0;
  let unread: Buffer = Buffer.alloc(0);

  return {
    push(chunk) {
      unread = unread.length === 0 ? chunk : Buffer.concat([unread, chunk]);
    },
    next() {
      for (;;) {
        const copied = unread.copy(part, filled);
        unread = unread.subarray(copied);
        filled += copied;
        if (filled < part.length) return null;
        if (part !== header) {
          const body = part;
          part = header;
          filled = 0;
          return body;
        }
        const length = header.readUInt32BE();
        if (length > limit) throw tooLong(length, limit);
        part = Buffer.allocUnsafe(length);
        filled = 0;
      }
    },
  };
}

/** Length and body as one piece, for known clients read a body with a single read. */
export function encodeFrame(body: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HEADER + body.length);
  frame.writeUInt32BE(body.length);
  frame.set(body, HEADER);
  return frame;
}

function tooLong(length: number, limit: number): LatchkeyError {
  return new LatchkeyError(
    "invalid",
    `InvalidFrameError: a frame has at most ${limit} bytes, not ${length}`,
  );
}
