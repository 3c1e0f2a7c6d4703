import assert from "node:assert/strict";
import { test } from "node:test";
import { internalError, LatchkeyError } from "../../../src/domain/error.js";
import { createFrameworkErrors } from "../../../src/transports/http/answers/framework-errors.js";

const thrown = (statusCode: number | undefined, code = "FST_ERR", message = "secret inside") =>
  Object.assign(new Error(message), { code, statusCode });

function createTrial() {
  const faults: unknown[] = [];
  const toCallerError = createFrameworkErrors((error) => {
    faults.push(error);
    return internalError();
  }, 1_024);
  return { faults, toCallerError };
}

test("an error of ours is shown as it is, and is no fault", () => {
  const { faults, toCallerError } = createTrial();
  const error = new LatchkeyError("limit", "too many");
  assert.equal(toCallerError(error), error);
  assert.deepEqual(faults, []);
});

for (const [name, error] of Object.entries({
  "an error without a status": thrown(undefined),
  "an error of status 500": thrown(500),
  "a thrown null": null,
  "a thrown string": "secret inside",
})) {
  test(`${name} is a fault: it is logged with its cause, and its inside stays hidden`, () => {
    const { faults, toCallerError } = createTrial();
    const shown = toCallerError(error);
    assert.equal(shown.code, "internal");
    assert.equal(shown.message, "internal server error");
    assert.deepEqual(faults, [error]);
  });
}

test("a body that is too large is told its limit", () => {
  const { toCallerError } = createTrial();
  const { code, message } = toCallerError(thrown(413));
  assert.equal(code, "invalid");
  assert.match(message, /at most 1024 bytes/);
});

test("a path that is not UTF-8 is refused without being repeated", () => {
  const { toCallerError } = createTrial();
  const { code, message } = toCallerError(thrown(400, "FST_ERR_BAD_URL"));
  assert.equal(code, "invalid");
  assert.doesNotMatch(message, /secret/);
});

test("a caller that leaves while its body is read is no fault", () => {
  const { faults, toCallerError } = createTrial();
  toCallerError(thrown(undefined, "ECONNRESET", "aborted"));
  assert.deepEqual(faults, []);
});
