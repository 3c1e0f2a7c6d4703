import type { IncomingMessage } from "node:http";

/** Of a body that nobody wants: so much is read and thrown away, */
const MAX_BYTES = 64 * 2 ** 20;
/** for so many milliseconds. */
const MAX_TIME = 10_000;

/**
 * What reads what is left of requests' bodies and throws it away, so that their senders come to read the
 * answers: to close a socket that has bytes unread resets the connection, and the answer is lost.
 * `atOnce`: of so many at a time; the other bodies wait in their senders' hands.
 */
export function createDiscards(atOnce = Number.POSITIVE_INFINITY) {
  let room = atOnce;
  /** What begins with those that wait, the longest first. */
  const waiting = new Set<() => void>();

  const release = () => {
    room++;
    for (const begin of waiting) {
      waiting.delete(begin);
      begin();
      return;
    }
  };

  /** Calls `done` with whether all of the body was read. */
  return (request: IncomingMessage, done: (isWhole: boolean) => void): void => {
    if (request.complete || request.destroyed) {
      done(request.complete);
      return;
    }
    let bytes = 0;
    let hasBegun = false;
    const begin = () => {
      hasBegun = true;
      room--;
      request.on("data", count);
      request.resume();
    };
    const end = () => {
      clearTimeout(timer);
      request.off("data", count).off("end", end).off("close", end);
      if (hasBegun) {
        request.pause();
        release();
      } else {
        waiting.delete(begin);
      }
      done(request.complete);
    };
    const count = (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_BYTES) end();
    };
    const timer = setTimeout(end, MAX_TIME);
    request.once("end", end).once("close", end);
    if (room > 0) {
      begin();
      return;
    }
    waiting.add(begin);
    // A request of which nothing was asked yet is thrown away by Node when its answer is out.
    request.read(0);
  };
}
