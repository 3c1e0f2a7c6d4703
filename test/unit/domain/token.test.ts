import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { deriveBytes, hashToken, newToken, TOKEN_LENGTH } from "../../../src/domain/token.js";
import type { RandomBytes } from "../../../src/lib/random.js";

const LETTERS = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"];

/** A source whose first draw is of one byte only, and whose later ones are of 0. */
function drawsOf(byte: number): { source: RandomBytes; draws: () => number } {
  let draws = 0;
  return {
    source: (size) => new Uint8Array(size).fill(draws++ === 0 ? byte : 0),
    draws: () => draws,
  };
}

/** Random bytes that are the same in every run (a linear congruential generator). */
function createPredictable(seed: number): RandomBytes {
  let state = seed;
  return (size) =>
    Uint8Array.from({ length: size }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 24;
    });
}

function count(tokens: readonly string[]): Map<string, number> {
  const counts = new Map(LETTERS.map((letter) => [letter, 0]));
  for (const letter of tokens.join("")) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  return counts;
}

test("a token is 64 letters and digits", () => {
  assert.equal(TOKEN_LENGTH, 64);
  for (let index = 0; index < 100; index++) {
    assert.match(newToken(randomBytes), /^[A-Za-z0-9]{64}$/);
  }
});

test("each letter is made of as many byte values as every other", () => {
  const made = Array.from({ length: 256 }, (_, byte) => {
    const { source, draws } = drawsOf(byte);
    const [letter = ""] = newToken(source);
    return { letter, rejected: draws() > 1 };
  });
  const accepted = made.filter(({ rejected }) => !rejected).map(({ letter }) => letter);
  assert.equal(accepted.length, 248);
  assert.deepEqual(
    [...count(accepted).values()],
    LETTERS.map(() => 4),
  );
  assert.equal(count(accepted).size, LETTERS.length);
});

test("a byte that would favour some letters is drawn again, one by one", () => {
  const bytes = [255, 0, 248, 1, 250, 2];
  const token = newToken((size) =>
    Uint8Array.from({ length: size }, (_, at) => bytes[at % 6] ?? 0),
  );
  assert.equal(token, "ABC".repeat(22).slice(0, 64));
});

test("each letter is as frequent as chance has it", () => {
  const source = createPredictable(1);
  const tokens = Array.from({ length: 4_000 }, () => newToken(source));
  const expected = (4_000 * TOKEN_LENGTH) / LETTERS.length;
  const chiSquare = [...count(tokens).values()].reduce(
    (sum, seen) => sum + (seen - expected) ** 2 / expected,
    0,
  );
  // 61 degrees of freedom: one honest source in a million goes beyond 128. Taking
  // every byte modulo 62 would give about 1,500.
  assert.ok(chiSquare < 128, `${chiSquare}`);
});

test("each place of a token has every letter", () => {
  const tokens = Array.from({ length: 2_000 }, () => newToken(randomBytes));
  for (let place = 0; place < TOKEN_LENGTH; place++) {
    assert.equal(new Set(tokens.map((token) => token[place])).size, LETTERS.length);
  }
});

test("a hash is SHA-256 of the token in base64url, and tells tokens apart", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 64, maxLength: 64 }), (token) => {
      const wanted = createHash("sha256").update(token).digest("base64url");
      assert.equal(hashToken(token), wanted);
      assert.notEqual(hashToken(token), hashToken(`${token}x`));
    }),
  );
});

test("a derived token follows from its secret and salt, and from nothing less", () => {
  const derived = (secret: string, salt: string) => newToken(deriveBytes(secret, salt));
  const token = derived("a-request-id-of-some-length", "salt");
  assert.match(token, /^[A-Za-z0-9]{64}$/);
  assert.equal(derived("a-request-id-of-some-length", "salt"), token);
  assert.notEqual(derived("a-request-id-of-some-length", "sals"), token);
  assert.notEqual(derived("b-request-id-of-some-length", "salt"), token);
});

test("derived bytes do not repeat from one draw to the next", () => {
  const draw = deriveBytes("a-request-id-of-some-length", "salt");
  assert.notDeepEqual(draw(72), draw(72));
});
