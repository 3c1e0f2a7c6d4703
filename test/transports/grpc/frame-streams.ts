import assert from "node:assert/strict";
import fc from "fast-check";
import { LatchkeyError } from "../../../src/domain/error.js";
import { createFrameReader } from "../../../src/transports/command/frames.js";

/** Small, so that generated lengths are on both sides of it. */
const LIMIT = 40;

/** What a stream of bytes holds: bodies of frames, then perhaps a length over the limit. */
interface Content {
  readonly bodies: readonly Buffer[];
  readonly isRefused: boolean;
}

/** The content of `stream`, found in the simplest way. */
function contentOf(stream: Buffer): Content {
  const bodies: Buffer[] = [];
  for (let at = 0; at + 4 <= stream.length; ) {
    const length = stream.readUInt32BE(at);
    if (length > LIMIT) return { bodies, isRefused: true };
    if (at + 4 + length > stream.length) break;
    bodies.push(stream.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return { bodies, isRefused: false };
}

/** What a reader makes of the stream that comes in these chunks. */
function readAll(chunks: readonly Buffer[]): Content {
  const frames = createFrameReader(LIMIT);
  const bodies: Buffer[] = [];
  try {
    for (const chunk of chunks) {
      frames.push(chunk);
      for (let body = frames.next(); body; body = frames.next()) bodies.push(body);
    }
  } catch (error) {
    assert.ok(error instanceof LatchkeyError && error.code === "invalid", String(error));
    assert.throws(() => frames.next(), error.constructor, "a refused stream stays refused");
    return { bodies, isRefused: true };
  }
  return { bodies, isRefused: false };
}

const bytes = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((content) => Buffer.from(content));

/** A frame that is right, one that lies about its length, or anything. */
const piece = fc.oneof(
  { weight: 4, arbitrary: bytes(LIMIT).map((body) => withLength(body.length, body)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.oneof(fc.nat(LIMIT + 2), fc.constantFrom(2 ** 31, 2 ** 32 - 1)), bytes(LIMIT))
      .map(([length, body]) => withLength(length, body)),
  },
  { weight: 1, arbitrary: bytes(12) },
);

function withLength(length: number, body: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(length);
  return Buffer.concat([header, body]);
}

/** A stream of bytes, and where it is cut into chunks. */
const inputs = fc.record({
  stream: fc.array(piece, { maxLength: 5 }).map((pieces) => Buffer.concat(pieces)),
  cuts: fc.array(fc.nat(5 * LIMIT), { maxLength: 6 }),
});

function cut(stream: Buffer, cuts: readonly number[]): Buffer[] {
  const ends = [...cuts.filter((at) => at < stream.length), stream.length].sort((a, b) => a - b);
  return ends.map((end, index) => stream.subarray(ends[index - 1] ?? 0, end));
}

/** Feeds `runs` generated streams to the reader; throws at the first that it gets wrong. */
export function fuzzFrames(runs: number): void {
  const property = fc.property(inputs, ({ stream, cuts }) => {
    const expected = contentOf(stream);
    assert.deepEqual(readAll(cut(stream, cuts)), expected);
    // As one chunk, and byte by byte.
    assert.deepEqual(readAll([stream]), expected);
    assert.deepEqual(readAll([...stream].map((byte) => Buffer.of(byte))), expected);
  });
  fc.assert(property, { numRuns: runs });
}
