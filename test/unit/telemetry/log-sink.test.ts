import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createLogSink } from "../../../src/telemetry/log-sink.js";

/** A reader that takes a text when it is told to. */
function createReader() {
  const texts: string[] = [];
  let done: (error?: Error) => void = () => {};
  return {
    texts,
    take: (error?: Error) => done(error),
    outlet: {
      write(text: string, next: (error?: Error | null) => void) {
        texts.push(text);
        done = next;
      },
      writeNow: (text: string) => void texts.push(`now ${text}`),
    },
  };
}

const lostOf = (text = "") =>
  text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line).lost);

describe("a log's sink", () => {
  test("writes the lines that came meanwhile together, in their order", async () => {
    const { outlet, texts, take } = createReader();
    const sink = createLogSink(outlet);
    for (const line of ["a\n", "b\n", "c\n"]) sink.write(line);
    take();
    assert.deepEqual(texts, ["a\n", "b\nc\n"]);
    const flushed = sink.flush();
    take();
    await flushed;
  });

  test("holds so many lines for a reader that stalls, and tells how many were lost", () => {
    const { outlet, texts, take } = createReader();
    const sink = createLogSink(outlet, 10);
    for (let line = 0; line < 100; line++) sink.write("12345\n");
    take();
    assert.equal(texts[1]?.slice(0, 6), "12345\n");
    assert.deepEqual(lostOf(texts[1]), [98]);
  });

  test("gives up what could not be written, and tries again with the next line", async () => {
    const { outlet, texts, take } = createReader();
    const sink = createLogSink(outlet);
    sink.write("a\n");
    const flushed = sink.flush();
    take(new Error("no space"));
    await flushed;
    assert.equal(texts.length, 1);
    sink.write("b\n");
    assert.equal(texts[1]?.slice(0, 2), "b\n");
    assert.deepEqual(lostOf(texts[1]), [1]);
  });

  test("writes what waits when the process ends, even if that throws", () => {
    const { outlet, texts } = createReader();
    const sink = createLogSink(outlet);
    sink.write("a\n");
    sink.write("b\n");
    sink.end();
    assert.deepEqual(texts, ["a\n", "now b\n"]);
    const stalled = createLogSink({
      write: () => {},
      writeNow() {
        throw new Error("EAGAIN");
      },
    });
    stalled.write("a\n");
    stalled.write("b\n");
    stalled.end();
  });
});
