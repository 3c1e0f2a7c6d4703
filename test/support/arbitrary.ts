import fc from "fast-check";
import type { JsonObject, JsonValue } from "../../src/lib/json.js";

/** Keys that have a meaning for JavaScript's objects, and others. */
const key = fc.oneof(
  fc.constantFrom("__proto__", "constructor", "toString", "", "0", "a", "b"),
  fc.string({ unit: "binary", maxLength: 4 }),
);

/** JSON values as `JSON.parse` makes them. */
export const jsonValues: fc.Arbitrary<JsonValue> = fc
  .letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constantFrom(null, true, false, ""),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.string({ unit: "binary", maxLength: 6 }),
      fc.array(tie("value"), { maxLength: 4 }),
      entries(tie("value")),
    ),
  }))
  .value.map(parsed);

/** JSON objects as `JSON.parse` makes them. */
export const jsonObjects = entries(jsonValues).map((value) => parsed(value) as JsonObject);

/** Texts of any UTF-16 units: some of them hold a surrogate alone. */
export const unsoundTexts = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 10 })
  .map((units) => String.fromCharCode(...units));

function entries(value: fc.Arbitrary<unknown>): fc.Arbitrary<object> {
  return fc.array(fc.tuple(key, value), { maxLength: 5 }).map((pairs) => Object.fromEntries(pairs));
}

function parsed(value: unknown): JsonValue {
  return JSON.parse(JSON.stringify(value)) as JsonValue;
}
