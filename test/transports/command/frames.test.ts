import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  createFrameReader,
  encodeFrame,
  FRAME_LIMIT,
} from "../../../src/transports/command/frames.js";
import { fuzzFrames } from "../grpc/frame-streams.js";

test("any stream, cut in any way, is read as it should be or refused (short form)", () => {
  fuzzFrames(Number(process.env["TEST_RUNS"] ?? 20_000));
});

test("a frame gives back the body that it was made of", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (body) => {
      const frames = createFrameReader(300);
      frames.push(encodeFrame(body));
      assert.deepEqual(frames.next(), Buffer.from(body));
      assert.equal(frames.next(), null);
    }),
  );
});

test("a body as long as the limit is read, and one byte more is refused at its length", () => {
  const frames = createFrameReader(FRAME_LIMIT);
  frames.push(encodeFrame(Buffer.alloc(FRAME_LIMIT, 1)));
  assert.equal(frames.next()?.length, FRAME_LIMIT);
  frames.push(encodeFrame(Buffer.alloc(FRAME_LIMIT + 1)).subarray(0, 4));
  assert.throws(
    () => frames.next(),
    /InvalidFrameError: a frame has at most 65536 bytes, not 65537/,
  );
});

test("a body is its own, whatever becomes of the chunk that it came in", () => {
  const frames = createFrameReader(FRAME_LIMIT);
  const chunk = encodeFrame(Buffer.from("PING"));
  frames.push(chunk);
  const body = frames.next();
  chunk.fill(0);
  assert.equal(body?.toString(), "PING");
});
