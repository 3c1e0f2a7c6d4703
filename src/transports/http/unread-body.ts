import type { IncomingMessage } from "node:http";

/** Of a body that nobody wants: so much is read and thrown away, */
const MAX_BYTES = 64 * 2 ** 20;
/** for so many milliseconds. */
const MAX_TIME = 10_000;

/**
 * Reads what is left of a request's body and throws it away, so that its sender comes to read the
 * answer: to close a socket that has bytes unread resets the connection, and the answer is lost.
 * Calls `done` with whether all of it was read.
 */
export function discardBody(request: IncomingMessage, done: (isWhole: boolean) => void): void {
  if (request.complete || request.destroyed) {
    done(request.complete);
    return;
  }
  let bytes = 0;
  const end = () => {
    clearTimeout(timer);
    request.off("data", count).off("end", end).off("close", end);
    done(request.complete);
  };
  const count = (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) end();
  };
  const timer = setTimeout(end, MAX_TIME);
  request.on("data", count).once("end", end).once("close", end);
  request.resume();
}
