import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  findJsonFlaw,
  isJsonObject,
  type JsonFlaw,
  type JsonObject,
  type JsonValue,
  mergeJson,
} from "../../src/domain/json.js";
import { jsonObjects, jsonValues } from "./arbitrary.js";

const sameText = (a: unknown, b: unknown) => assert.equal(JSON.stringify(a), JSON.stringify(b));

test("only objects are objects", () => {
  for (const value of [{}, { a: 1 }, JSON.parse('{"__proto__":1}')]) {
    assert.equal(isJsonObject(value), true);
  }
  for (const value of [null, undefined, [], "a", 1, true]) assert.equal(isJsonObject(value), false);
});

test("a merge sets keys, removes those of null, keeps the others", () => {
  fc.assert(
    fc.property(jsonObjects, jsonObjects, (base, change) => {
      const wanted = new Map(Object.entries(base));
      for (const [key, value] of Object.entries(change)) wanted.set(key, value);
      for (const [key, value] of Object.entries(change)) if (value === null) wanted.delete(key);
      sameText(mergeJson(base, change), Object.fromEntries(wanted));
    }),
  );
});

test("a merge changes neither of its arguments", () => {
  fc.assert(
    fc.property(jsonObjects, jsonObjects, (base, change) => {
      const before = JSON.stringify([base, change]);
      mergeJson(base, change);
      assert.equal(JSON.stringify([base, change]), before);
    }),
  );
});

test("merging twice is merging once", () => {
  fc.assert(
    fc.property(jsonObjects, jsonObjects, (base, change) => {
      const once = mergeJson(base, change);
      sameText(mergeJson(once, change), once);
    }),
  );
});

test("a null that the base has stays unless its key is named", () => {
  sameText(mergeJson({ a: null, b: 1 }, { c: 2 }), { a: null, b: 1, c: 2 });
  sameText(mergeJson({ a: null, b: null }, { a: null }), { b: null });
});

test("a merge replaces nested values whole", () => {
  sameText(mergeJson({ a: { x: 1, y: 2 }, l: [1, 2] }, { a: { y: null }, l: [] }), {
    a: { y: null },
    l: [],
  });
});

test("__proto__ is a key like any other to a merge", () => {
  const set = mergeJson({ a: 1 }, JSON.parse('{"__proto__":{"admin":true}}'));
  assert.equal(JSON.stringify(set), '{"a":1,"__proto__":{"admin":true}}');
  assert.equal(Object.getPrototypeOf(set), Object.prototype);
  assert.equal("admin" in set, false);
  assert.equal(JSON.stringify(mergeJson(set, { a: null })), '{"__proto__":{"admin":true}}');
  assert.equal(JSON.stringify(mergeJson(set, JSON.parse('{"__proto__":null}'))), '{"a":1}');
});

test("what JSON.parse makes has no flaw but its depth", () => {
  fc.assert(
    fc.property(jsonValues, fc.nat(6), (value, maxDepth) => {
      assert.equal(findJsonFlaw(value, maxDepth), depthOf(value) > maxDepth ? "depth" : null);
    }),
  );
});

function depthOf(value: JsonValue): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

/** `inner` within so many objects and arrays, by turns. */
function nest(levels: number, inner: JsonValue): JsonValue {
  let value = inner;
  for (let level = 0; level < levels; level++) value = level % 2 ? { a: value } : [value];
  return value;
}

test("depth counts objects and arrays alike", () => {
  assert.equal(findJsonFlaw(nest(32, 1), 32), null);
  assert.equal(findJsonFlaw(nest(33, 1), 32), "depth");
  assert.equal(findJsonFlaw(nest(31, {}), 32), null);
  assert.equal(findJsonFlaw(nest(32, {}), 32), "depth");
  assert.equal(findJsonFlaw("a", 0), null);
});

test("no depth exhausts the stack", () => {
  const deep = nest(1_000_000, 1);
  assert.equal(findJsonFlaw(deep, 32), "depth");
  assert.equal(findJsonFlaw(deep, 2_000_000), null);
});

const FLAWS: readonly [title: string, flaw: JsonFlaw, JsonValue][] = [
  ["a high surrogate alone", "unicode", "\ud800"],
  ["a low surrogate alone", "unicode", "a\udfffb"],
  ["surrogates in the wrong order", "unicode", "\udc00\ud800"],
  ["a key with a surrogate alone", "unicode", { "\ud800": 1 }],
  ["not a number", "number", Number.NaN],
  ["infinity", "number", Number.POSITIVE_INFINITY],
  ["minus infinity", "number", Number.NEGATIVE_INFINITY],
];

for (const [title, flaw, value] of FLAWS) {
  test(`a flaw is found at every depth and beside anything: ${title}`, () => {
    fc.assert(
      fc.property(fc.nat(10), jsonObjects, (levels, beside: JsonObject) => {
        const whole = nest(levels, { ...beside, flawed: value });
        assert.equal(findJsonFlaw(whole, 1_000), flaw);
      }),
    );
  });
}
