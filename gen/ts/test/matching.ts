import assert from "node:assert/strict";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

/** The variables of a scenario, by name. */
export type Variables = Map<string, JsonValue>;

const VARIABLE = /\$\{(\w+)\}/g;

/** The value with the variables in its strings replaced, as test/system/clients/README.md says. */
export function fill(value: JsonValue, variables: Variables): JsonValue {
  if (Array.isArray(value)) return value.map((item) => fill(item, variables));
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).map(([name, one]) => [name, fill(one, variables)]);
    return Object.fromEntries(fields) as JsonObject;
  }
  if (typeof value !== "string") return value;
  return value.replaceAll(VARIABLE, (_, name: string) => {
    const known = variables.get(name);
    assert.ok(known !== undefined, `the table names no variable ${name} before`);
    return String(known);
  });
}

/** Asserts that `actual` matches `expected`, whose variables are replaced. */
export function assertMatches(actual: JsonValue | undefined, expected: JsonValue, path: string) {
  if (expected === "<absent>") return assert.equal(actual, undefined, path);
  assert.notEqual(actual, undefined, `${path} is absent`);
  if (expected === "<any>") return;
  if (Array.isArray(expected)) {
    assert.ok(Array.isArray(actual), path);
    assert.equal(actual.length, expected.length, `the length of ${path}`);
    for (const [at, item] of expected.entries()) assertMatches(actual[at], item, `${path}.${at}`);
  } else if (typeof expected === "object" && expected !== null) {
    assert.ok(typeof actual === "object" && actual !== null, path);
    const fields = actual as JsonObject;
    for (const [name, one] of Object.entries(expected)) {
      assertMatches(fields[name], one, `${path}.${name}`);
    }
  } else assert.equal(actual, expected, path);
}

/** The value at a path such as `results.0.error`. */
export function valueAt(value: JsonValue, path: string): JsonValue {
  let found: JsonValue | undefined = value;
  for (const name of path.split(".")) found = (found as JsonObject | undefined)?.[name];
  assert.ok(found !== undefined, `nothing to save at ${path}`);
  return found;
}
