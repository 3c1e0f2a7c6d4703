import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LatchkeyError, type Violation } from "../../../src/domain/error.js";
import {
  checkApp,
  checkData,
  checkIp,
  checkPageSize,
  checkSeconds,
  checkSessionId,
  checkToken,
  checkUserAgent,
  checkUserId,
  isMintedToken,
  LIMITS,
} from "../../../src/domain/limits.js";
import type { JsonObject } from "../../../src/lib/json.js";
import { jsonObjects, unsoundTexts } from "../../support/arbitrary.js";

/** Asserts that a check refuses, blaming the field in this way. */
function assertRefused(check: () => unknown, field: string, problem: Violation["problem"]): void {
  assert.throws(check, (error) => {
    assert.ok(error instanceof LatchkeyError);
    assert.equal(error.code, "invalid");
    assert.deepEqual(error.violation, { field, problem });
    return true;
  });
}

/** Asserts that a check of text accepts exactly what `fits` accepts. */
function assertDecides(
  check: (text: string) => string,
  field: string,
  fits: (text: string) => boolean,
  texts: fc.Arbitrary<string>,
): void {
  assertRefused(() => check(""), field, "missing");
  fc.assert(
    fc.property(texts, (text) => {
      fc.pre(text !== "");
      if (fits(text)) assert.equal(check(text), text);
      else assertRefused(() => check(text), field, "format");
    }),
    { numRuns: 300 },
  );
}

const anyText = fc.oneof(fc.string({ unit: "binary", maxLength: 30 }), unsoundTexts);
const near = (letters: string, min: number, max: number) =>
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.string({ unit: fc.constantFrom(...letters), minLength: min, maxLength: max }),
    },
    fc.string({
      unit: fc.constantFrom(...letters, "é", "\n", " "),
      minLength: min,
      maxLength: max,
    }),
    anyText,
  );

test("an app is 3 to 20 of its letters", () => {
  const fits = (text: string) =>
    text.length >= 3 &&
    text.length <= 20 &&
    [...text].every((letter) => /[A-Za-z0-9_-]/.test(letter));
  assertDecides(checkApp, "app", fits, near("aZ09_-", 1, 22));
});

for (const field of ["token", "keep_token"]) {
  test(`a ${field} is 22 to 256 letters, digits, - and _`, () => {
    const fits = (text: string) =>
      text.length >= 22 &&
      text.length <= 256 &&
      [...text].every((letter) => /[A-Za-z0-9_-]/.test(letter));
    const tokens = fc.oneof(near("aZ09_-", 20, 24), near("aZ09_-", 254, 258));
    assertDecides((text) => checkToken(text, field), field, fits, tokens);
  });
}

test("a token of this server's making is told from one of a caller's", () => {
  assert.equal(isMintedToken("aZ09".repeat(16)), true);
  for (const token of ["", "a".repeat(63), "a".repeat(65), `${"a".repeat(63)}-`]) {
    assert.equal(isMintedToken(token), false);
  }
});

test("the refusal of a token does not show it", () => {
  const token = `${"secret".repeat(10)}!`;
  assert.throws(
    () => checkToken(token),
    (error) => error instanceof Error && !`${error.message}${error.stack}`.includes("secret"),
  );
});

for (const field of ["session_id", "keep_session_id"]) {
  test(`a ${field} is a UUID in lower case`, () => {
    const fits = (text: string) =>
      text.length === 36 &&
      [...text].every((letter, at) =>
        [8, 13, 18, 23].includes(at) ? letter === "-" : "0123456789abcdef".includes(letter),
      );
    const uuids = fc.oneof(
      fc.uuid(),
      fc.uuid().map((uuid) => uuid.toUpperCase()),
      fc
        .tuple(fc.uuid(), fc.nat(36), fc.constantFrom("", "-", "g", "\n"))
        .map(([uuid, at, letter]) => `${uuid.slice(0, at)}${letter}${uuid.slice(at + 1)}`),
      anyText,
    );
    assertDecides((text) => checkSessionId(text, field), field, fits, uuids);
  });
}

const TEXTS = [
  [checkUserId, "user_id", 128],
  [checkIp, "ip", 39],
  [checkUserAgent, "user_agent", 512],
] as const;

for (const [check, field, max] of TEXTS) {
  test(`a ${field} is 1 to ${max} characters of Unicode, none a control`, () => {
    const isControl = (letter: string) => {
      const code = letter.codePointAt(0) ?? 0;
      return code < 0x20 || (code >= 0x7f && code < 0xa0);
    };
    const fits = (text: string) => {
      const letters = [...text];
      return letters.length <= max && text.isWellFormed() && !letters.some(isControl);
    };
    const lengths = fc.integer({ min: max - 2, max: max + 2 });
    const full = fc
      .tuple(
        lengths,
        fc.constantFrom("x", "한", "🔑"),
        fc.constantFrom("", "\u0000", "\u0085", "\ud800"),
      )
      .map(([length, letter, last]) => letter.repeat(length - last.length) + last);
    assertDecides(check, field, fits, fc.oneof(full, anyText));
  });
}

test("seconds are whole, within the limits, and come back as milliseconds", () => {
  const numbers = fc.oneof(
    fc.integer({ min: -5, max: 20 }),
    fc.integer({ min: LIMITS.ttlMax - 5, max: LIMITS.ttlMax + 5 }),
    fc.double(),
    fc.constantFrom(10, 9, 9.999, 10.5, LIMITS.ttlMax, LIMITS.ttlMax + 1),
  );
  fc.assert(
    fc.property(numbers, (seconds) => {
      const fits = seconds >= 10 && seconds <= 2_147_483_647 && Math.floor(seconds) === seconds;
      if (fits) assert.equal(checkSeconds("idle_ttl", seconds), seconds * 1000);
      else assertRefused(() => checkSeconds("idle_ttl", seconds), "idle_ttl", "value");
    }),
    { numRuns: 500 },
  );
});

test("a page holds 1 to 1000, and 100 if that is left open", () => {
  assert.equal(checkPageSize(0), 100);
  for (const size of [1, 2, 999, 1000]) assert.equal(checkPageSize(size), size);
  for (const size of [-1, 1001, 1.5, Number.NaN, -(2 ** 31), 2 ** 31 - 1]) {
    assertRefused(() => checkPageSize(size), "page_size", "value");
  }
});

test("data is counted in bytes of UTF-8", () => {
  const letters = { x: 1, é: 2, 한: 3, "🔑": 4, "\n": 2, "\u0001": 6 };
  for (const [letter, bytes] of Object.entries(letters)) {
    const fill = (room: number): JsonObject => {
      const text = letter.repeat(Math.floor(room / bytes)) + "x".repeat(room % bytes);
      return { a: text };
    };
    const data = fill(60_000 - 8);
    assert.equal(Buffer.byteLength(JSON.stringify(data)), 60_000);
    assert.equal(checkData(data), data);
    assertRefused(() => checkData(fill(60_001 - 8)), "data", "value");
  }
});

test("data is nested at most 32 levels", () => {
  const nest = (levels: number) =>
    JSON.parse(`${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`) as JsonObject;
  const data = nest(32);
  assert.equal(checkData(data), data);
  for (const levels of [33, 1_000]) assertRefused(() => checkData(nest(levels)), "data", "value");
});

test("data with what JSON cannot say is refused", () => {
  for (const flawed of ["\ud800", Number.NaN, Number.POSITIVE_INFINITY]) {
    assertRefused(() => checkData({ a: [flawed] }), "data", "value");
  }
});

test("data of ordinary size is left as it is", () => {
  fc.assert(
    fc.property(jsonObjects, (data) => {
      assert.equal(checkData(data), data);
    }),
  );
});
