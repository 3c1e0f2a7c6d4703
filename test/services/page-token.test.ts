import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LatchkeyError } from "../../src/domain/error.js";
import { decodePageToken, encodePageToken } from "../../src/services/page-token.js";
import { unsoundTexts } from "../domain/arbitrary.js";

const app = fc.string({ unit: fc.constantFrom(..."aZ09_-"), minLength: 3, maxLength: 20 });
const userId = fc.string({ unit: "binary", maxLength: 128 });
const states = fc.record({
  app,
  userId,
  activeSince: fc.maxSafeNat(),
  before: fc.maxSafeNat(),
});

function assertRefused(token: string, app: string, userId: string): void {
  assert.throws(
    () => decodePageToken(token, app, userId),
    (error) => {
      assert.ok(error instanceof LatchkeyError);
      assert.equal(error.code, "invalid");
      assert.deepEqual(error.violation, { field: "page_token", problem: "format" });
      return true;
    },
  );
}

test("a page token gives back what it was made of", () => {
  fc.assert(
    fc.property(states, (state) => {
      const decoded = decodePageToken(encodePageToken(state), state.app, state.userId);
      assert.deepEqual(decoded, { ...state });
    }),
  );
});

test("a page token may stand in a URL as it is", () => {
  fc.assert(
    fc.property(states, (state) => {
      assert.match(encodePageToken(state), /^[A-Za-z0-9_-]+$/);
    }),
  );
});

test("a page token serves its own app and user only", () => {
  fc.assert(
    fc.property(states, app, userId, (state, otherApp, otherUser) => {
      fc.pre(otherApp !== state.app && otherUser !== state.userId);
      const token = encodePageToken(state);
      assertRefused(token, otherApp, state.userId);
      assertRefused(token, state.app, otherUser);
    }),
  );
});

test("any text is a page token or is refused", () => {
  const texts = fc.oneof(fc.string({ unit: "binary" }), fc.base64String(), unsoundTexts);
  fc.assert(fc.property(texts, (text) => assertRefused(text, "shop", "ann")));
});

test("a forged page token with anything but whole numbers is refused", () => {
  const forge = (content: unknown) => Buffer.from(JSON.stringify(content)).toString("base64url");
  assert.equal(decodePageToken(forge(["shop", "ann", 1, 2]), "shop", "ann").before, 2);
  for (const content of [
    null,
    {},
    { 0: "shop", 1: "ann", 2: 1, 3: 2 },
    [],
    ["shop", "ann"],
    ["shop", "ann", 1],
    ["shop", "ann", 1, "2"],
    ["shop", "ann", null, 2],
    ["shop", "ann", 1.5, 2],
    ["shop", "ann", 1, 2 ** 53],
    ["shop", "ann", 1, {}],
    [["shop"], "ann", 1, 2],
  ]) {
    assertRefused(forge(content), "shop", "ann");
  }
});
