import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import {
  canonicalJson,
  findJsonFlaw,
  isJsonObject,
  type JsonFlaw,
  type JsonObject,
  type JsonValue,
  mergeJson,
  mergePatch,
  messageBytes,
} from "../../../src/lib/json.js";
import { jsonObjects, jsonValues } from "../../support/arbitrary.js";

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

// RFC 7396, appendix A, as far as target and patch are objects.
const PATCHES: readonly [target: string, patch: string, result: string][] = [
  ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
  ['{"a":"b"}', '{"a":null}', "{}"],
  ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
  ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
  ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
  ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
  ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
  ["{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
  ['{"a":"foo"}', '{"a":{"b":{"c":null,"d":1}}}', '{"a":{"b":{"d":1}}}'],
  ['{"a":1}', '{"__proto__":{"admin":true}}', '{"a":1,"__proto__":{"admin":true}}'],
];

for (const [target, patch, result] of PATCHES) {
  test(`the merge patch ${patch} makes ${result} of ${target}`, () => {
    assert.equal(JSON.stringify(mergePatch(JSON.parse(target), JSON.parse(patch))), result);
  });
}

test("a merge patch is that of the pseudo-code in RFC 7396, and changes neither argument", () => {
  const reference = (target: JsonValue | undefined, patch: JsonValue): JsonValue => {
    if (!isJsonObject(patch)) return patch;
    const result = new Map(isJsonObject(target) ? Object.entries(target) : []);
    for (const [name, value] of Object.entries(patch)) {
      if (value === null) result.delete(name);
      else result.set(name, reference(result.get(name), value));
    }
    return Object.fromEntries(result);
  };
  fc.assert(
    fc.property(jsonObjects, jsonObjects, (base, patch) => {
      const before = JSON.stringify([base, patch]);
      sameText(mergePatch(base, patch), reference(base, patch));
      assert.equal(JSON.stringify([base, patch]), before);
    }),
  );
});

test("canonical JSON is the same for every order of keys, and differs for other values", () => {
  const reversed = (value: JsonValue): JsonValue => {
    if (Array.isArray(value)) return value.map(reversed);
    if (!isJsonObject(value)) return value;
    const entries = Object.entries(value).map(([key, item]) => [key, reversed(item)] as const);
    return Object.fromEntries(entries.toReversed());
  };
  fc.assert(
    fc.property(jsonValues, (value) => {
      const text = canonicalJson(value);
      assert.equal(canonicalJson(reversed(value)), text);
      assert.deepEqual(JSON.parse(text), value);
      assert.notEqual(canonicalJson([value]), text);
    }),
  );
});

test("the size of a value as a message is known to within a factor of two", () => {
  fc.assert(
    fc.property(jsonValues, (value) => {
      // The protobuf runtime loses that key, but in the server's process.
      fc.pre(!JSON.stringify(value).includes("__proto__"));
      const bytes = toBinary(ValueSchema, fromJson(ValueSchema, value)).length;
      const about = messageBytes(value);
      assert.ok(about >= 0.9 * bytes && about <= 2 * bytes + 8, `${about} for ${bytes}`);
    }),
  );
  const text = "김".repeat(10_000);
  assert.ok(messageBytes({ text }) >= 30_000);
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
