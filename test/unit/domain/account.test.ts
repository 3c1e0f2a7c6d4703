import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Account,
  checkAccountName,
  checkAppPattern,
  checkKeyLabel,
  checkPassword,
  hashApiKey,
  mayTouch,
  newApiKey,
} from "../../../src/domain/accounts/account.js";
import { LatchkeyError, type Violation } from "../../../src/domain/error.js";
import { unsoundTexts } from "../../support/arbitrary.js";

const USER: Account = { id: 1, name: "u", role: "User", apps: [], rke: false, enabled: true };

function assertRefused(check: () => unknown, field: string, problem: Violation["problem"]): void {
  assert.throws(check, (error) => {
    assert.ok(error instanceof LatchkeyError);
    assert.deepEqual([error.code, error.violation], ["invalid", { field, problem }]);
    return true;
  });
}

const hasControl = (text: string) =>
  [...text].some((letter) => {
    const code = letter.codePointAt(0) ?? 0;
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
  });
const isText = (text: string) => text.isWellFormed() && !hasControl(text);

for (const [what, check, field, min, max, forbidden] of [
  ["an account's name", checkAccountName, "name", 1, 64, ":"],
  ["a key's label", checkKeyLabel, "label", 1, 64, null],
  ["a password", checkPassword, "password", 8, 256, null],
] as const) {
  test(`${what} is ${min} to ${max} characters of text${forbidden ? `, without ${forbidden}` : ""}`, () => {
    const near = fc
      .tuple(
        fc.constantFrom(0, min - 2, min - 1, min, max - 1, max, max + 1),
        fc.constantFrom("x", "한", "🔑", " "),
        fc.constantFrom("", ":", "\n", "\u0000", "\u0085", "\ud800"),
      )
      .map(([length, letter, last]) => letter.repeat(Math.max(0, length - last.length)) + last);
    assertRefused(() => check(""), field, "missing");
    fc.assert(
      fc.property(fc.oneof(near, unsoundTexts, fc.string({ unit: "binary" })), (text) => {
        fc.pre(text !== "");
        const length = [...text].length;
        const fits =
          length >= min &&
          length <= max &&
          isText(text) &&
          (forbidden === null || !text.includes(forbidden));
        if (fits) assert.equal(check(text), text);
        else assertRefused(() => check(text), field, "format");
      }),
      { numRuns: 400 },
    );
  });
}

test("the refusal of a password does not show it", () => {
  assert.throws(
    () => checkPassword("secret\n".repeat(3)),
    (error) => error instanceof Error && !`${error.message}${error.stack}`.includes("secret"),
  );
});

test("an app pattern is an app, or 1 to 19 of its letters and a star", () => {
  for (const pattern of ["abc", "a".repeat(20), "a*", `${"a".repeat(19)}*`, "shop-*", "A_9"]) {
    assert.equal(checkAppPattern(pattern), pattern);
  }
  for (const pattern of ["ab", "*", "a".repeat(21), `${"a".repeat(20)}*`, "a*b", "a**", "abc\n"]) {
    assertRefused(() => checkAppPattern(pattern), "apps", "format");
  }
  assertRefused(() => checkAppPattern(""), "apps", "missing");
});

test("a User may touch the apps it has, by name or by prefix, and no other", () => {
  const letters = fc.constantFrom(..."ab-");
  const app = fc.string({ unit: letters, minLength: 3, maxLength: 6 });
  const prefix = fc.string({ unit: letters, minLength: 1, maxLength: 4 });
  const pattern = fc.oneof(
    app,
    prefix.map((text) => `${text}*`),
  );
  fc.assert(
    fc.property(fc.array(pattern, { maxLength: 3 }), app, (apps, wanted) => {
      const prefixes = Array.from({ length: wanted.length + 1 }, (_, end) => wanted.slice(0, end));
      const expected = apps.includes(wanted) || prefixes.some((text) => apps.includes(`${text}*`));
      assert.equal(mayTouch({ ...USER, apps }, wanted), expected);
    }),
    { numRuns: 1_000 },
  );
  assert.equal(mayTouch(USER, "shop"), false);
});

test("an Admin may touch every app", () => {
  assert.equal(mayTouch({ ...USER, role: "Admin" }, "shop"), true);
});

test("an API key is lk_ and the 43 characters of 32 random bytes", () => {
  const bytes = randomBytes(32);
  const key = newApiKey((size) => {
    assert.equal(size, 32);
    return bytes;
  });
  assert.match(key, /^lk_[A-Za-z0-9_-]{43}$/);
  assert.deepEqual(Buffer.from(key.slice(3), "base64url"), bytes);
});

test("a key's hash is SHA-256 of the whole key in base64url", () => {
  const key = newApiKey(randomBytes);
  assert.equal(hashApiKey(key), createHash("sha256").update(key).digest("base64url"));
});
