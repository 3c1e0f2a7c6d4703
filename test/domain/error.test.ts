import assert from "node:assert/strict";
import { test } from "node:test";
import { invalid, LatchkeyError } from "../../src/domain/error.js";

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
