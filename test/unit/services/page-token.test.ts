import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { LatchkeyError } from "../../../src/domain/error.js";
import {
  createPageTokens,
  type Listing,
  type PageTokens,
} from "../../../src/services/sessions/page-token.js";
import { unsoundTexts } from "../../support/arbitrary.js";

const app = fc.string({ unit: fc.constantFrom(..."aZ09_-"), minLength: 3, maxLength: 20 });
const userId = fc.string({ unit: "binary", maxLength: 128 });
const account = fc.string({ unit: fc.constantFrom(..."aZ09_-"), maxLength: 64 });
const listings = fc.record({ app, userId, activeWithin: fc.nat(), account });
const states = fc.record({
  activeSince: fc.integer({ min: -(2 ** 50), max: Number.MAX_SAFE_INTEGER }),
  before: fc.maxSafeNat(),
});

const LISTING: Listing = { app: "shop", userId: "ann", activeWithin: 0, account: "web" };

function assertRefused(tokens: PageTokens, token: string, listing: Listing): void {
  assert.throws(
    () => tokens.decode(token, listing),
    (error) => {
      assert.ok(error instanceof LatchkeyError);
      assert.equal(error.code, "invalid");
      assert.deepEqual(error.violation, { field: "page_token", problem: "format" });
      return true;
    },
  );
}

test("a page token gives back what it was made of", () => {
  const tokens = createPageTokens(randomBytes);
  fc.assert(
    fc.property(listings, states, (listing, state) => {
      assert.deepEqual(tokens.decode(tokens.encode(listing, state), { ...listing }), { ...state });
    }),
  );
});

test("a page token may stand in a URL as it is, and tells nothing by its length", () => {
  const tokens = createPageTokens(randomBytes);
  const lengths = new Set<number>();
  fc.assert(
    fc.property(listings, states, (listing, state) => {
      const token = tokens.encode(listing, state);
      assert.match(token, /^[A-Za-z0-9_-]+$/);
      lengths.add(token.length);
    }),
  );
  assert.equal(lengths.size, 1);
});

test("two page tokens of the same position have nothing in common", () => {
  const tokens = createPageTokens(randomBytes);
  const state = { activeSince: 0, before: 7 };
  const bytes = () => Buffer.from(tokens.encode(LISTING, state), "base64url");
  const [a, b] = [bytes(), bytes()];
  const same = a.filter((byte, index) => byte === b[index]).length;
  assert.ok(same < 8, `${same} of ${a.length} bytes are the same`);
});

test("a page token serves its own app, user, time bound and account only", () => {
  const tokens = createPageTokens(randomBytes);
  fc.assert(
    fc.property(listings, listings, states, (listing, other, state) => {
      const token = tokens.encode(listing, state);
      for (const field of ["app", "userId", "activeWithin", "account"] as const) {
        if (other[field] === listing[field]) continue;
        assertRefused(tokens, token, { ...listing, [field]: other[field] });
      }
    }),
  );
});

test("a page token that was altered anywhere is refused", () => {
  const tokens = createPageTokens(randomBytes);
  const token = tokens.encode(LISTING, { activeSince: 0, before: 7 });
  for (let index = 0; index < token.length; index++) {
    for (const letter of "Ab0_") {
      const altered = token.slice(0, index) + letter + token.slice(index + 1);
      if (altered !== token) assertRefused(tokens, altered, LISTING);
    }
  }
  for (const altered of [`${token}A`, `${token}=`, token.slice(1), ` ${token.slice(1)}`]) {
    assertRefused(tokens, altered, LISTING);
  }
});

test("a page token of another server, or of one before a restart, is refused", () => {
  const state = { activeSince: 0, before: 7 };
  const token = createPageTokens(randomBytes).encode(LISTING, state);
  assertRefused(createPageTokens(randomBytes), token, LISTING);
});

test("any text is a page token or is refused", () => {
  const tokens = createPageTokens(randomBytes);
  const texts = fc.oneof(fc.string({ unit: "binary" }), fc.base64String(), unsoundTexts);
  fc.assert(fc.property(texts, (text) => assertRefused(tokens, text, LISTING)));
});
