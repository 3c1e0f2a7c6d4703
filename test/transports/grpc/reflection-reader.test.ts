import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { heedReader } from "../../../src/transports/grpc/reflection.js";
import { eventually } from "../../support/eventually.js";

test("questions are not answered faster than their caller reads", async () => {
  const waiting: (() => void)[] = [];
  const call = new Duplex({
    objectMode: true,
    writableHighWaterMark: 4,
    read() {},
    write: (_answer, _encoding, done) => void waiting.push(done),
  });
  let answered = 0;
  heedReader((one: Duplex) =>
    one.on("data", (question) => {
      answered++;
      one.write(question);
    }),
  )(call);
  for (let count = 0; count < 100; count++) call.push({});
  await eventually("a pause", () => call.isPaused());
  assert.equal(answered, 4);
  while (answered < 100) {
    // The caller reads one.
    await eventually("an answer", () => waiting.length > 0);
    waiting.shift()?.();
    await new Promise(setImmediate);
    assert.ok(call.writableLength <= 4);
  }
});
