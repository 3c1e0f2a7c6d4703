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
  activeWithin: fc.nat(),
  activeSince: fc.maxSafeNat(),
  before: fc.maxSafeNat(),
});

interface Asked {
  readonly app: string;
  readonly userId: string;
  readonly activeWithin: number;
}

function assertRefused(token: string, asked: Asked): void {
  assert.throws(
    () => decodePageToken(token, asked),
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
      const decoded = decodePageToken(encodePageToken(state), state);
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

test("a page token serves its own app, user and time bound only", () => {
  fc.assert(
    fc.property(states, app, userId, (state, otherApp, otherUser) => {
      fc.pre(otherApp !== state.app && otherUser !== state.userId);
      const token = encodePageToken(state);
      assertRefused(token, { ...state, app: otherApp });
      assertRefused(token, { ...state, userId: otherUser });
      assertRefused(token, { ...state, activeWithin: state.activeWithin + 1 });
    }),
  );
});

test("any text is a page token or is refused", () => {
  const texts = fc.oneof(fc.string({ unit: "binary" }), fc.base64String(), unsoundTexts);
  fc.assert(
    fc.property(texts, (text) =>
      assertRefused(text, { app: "shop", userId: "ann", activeWithin: 0 }),
    ),
  );
});

test("a forged page token with anything but whole numbers is refused", () => {
  const forge = (content: unknown) => Buffer.from(JSON.stringify(content)).toString("base64url");
  const asked = { app: "shop", userId: "ann", activeWithin: 60 };
  assert.equal(decodePageToken(forge(["shop", "ann", 60, 1, 2]), asked).before, 2);
  for (const content of [
    null,
    {},
    { 0: "shop", 1: "ann", 2: 60, 3: 1, 4: 2 },
    [],
    ["shop", "ann"],
    ["shop", "ann", 60, 1],
    ["shop", "ann", 60, 1, "2"],
    ["shop", "ann", 60, null, 2],
    ["shop", "ann", 60, 1.5, 2],
    ["shop", "ann", 60, 1, 2 ** 53],
    ["shop", "ann", 60, 1, {}],
    ["shop", "ann", "60", 1, 2],
    [["shop"], "ann", 60, 1, 2],
  ]) {
    assertRefused(forge(content), asked);
  }
});
