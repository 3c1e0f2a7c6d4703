import assert from "node:assert/strict";
import { test } from "node:test";
import { describeFault, invalid, LatchkeyError } from "../../../src/domain/error.js";

test("an error has its code, words and cause", () => {
  const cause = new Error("inside");
  const error = new LatchkeyError("unavailable", "the disk is full", { cause });
  assert.ok(error instanceof Error);
  assert.equal(error.name, "LatchkeyError");
  assert.equal(error.code, "unavailable");
  assert.equal(error.message, "the disk is full");
  assert.equal(error.cause, cause);
  assert.equal(error.violation, undefined);
});

test("an error without a cause has none", () => {
  assert.equal("cause" in new LatchkeyError("not_found", "no such session"), false);
});

test("an error of one field names it and what is wrong with it", () => {
  const error = invalid("user_id", "format", "user_id must be text");
  assert.equal(error.code, "invalid");
  assert.equal(error.message, "user_id must be text");
  assert.deepEqual(error.violation, { field: "user_id", problem: "format" });
});

test("a fault is told in words, whatever was thrown", () => {
  for (const [fault, text] of [
    [new Error("the disk failed"), "the disk failed"],
    [new TypeError(), "TypeError"],
    [{ message: "the disk failed", code: "EIO" }, "the disk failed"],
    [{ code: "EIO" }, "EIO"],
    [{}, "an unknown fault"],
    [Object.create(null), "an unknown fault"],
    ["text", "text"],
    [null, "null"],
    [undefined, "undefined"],
  ] as const) {
    assert.equal(describeFault(fault), text);
  }
});
