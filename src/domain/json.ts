/** A JSON value as `JSON.parse` gives it. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;

/** A JSON object. Keys are data: `__proto__` is a key like any other. */
export type JsonObject = { [key: string]: JsonValue };

/** Whether `value` is a JSON object, not an array and not null. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * A copy of `base` with the keys of `change` set, those whose value is null
 * removed, and all others kept. Nested values are replaced whole.
 */
export function mergeJson(base: JsonObject, change: JsonObject): JsonObject {
  // Spread and fromEntries define properties, so `__proto__` stays data.
  const merged = { ...base, ...change };
  return Object.values(change).includes(null)
    ? Object.fromEntries(
        Object.entries(merged).filter(
          ([key]) => !(Object.hasOwn(change, key) && change[key] === null),
        ),
      )
    : merged;
}

/** What makes a JSON value unfit to keep: too many levels, or text that is not Unicode. */
export type JsonFlaw = "depth" | "unicode" | "number";

/**
 * The first flaw of `value`, or null: more than `maxDepth` levels of objects and
 * arrays, a key or string with a lone surrogate (it has no UTF-8 form), or a
 * number that JSON cannot write. Does not recurse, so depth cannot exhaust the stack.
 */
export function findJsonFlaw(value: JsonValue, maxDepth: number): JsonFlaw | null {
  let level: JsonValue[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    const next: JsonValue[] = [];
    for (const item of level) {
      if (typeof item === "string") {
        if (!item.isWellFormed()) return "unicode";
      } else if (typeof item === "number") {
        if (!Number.isFinite(item)) return "number";
      } else if (typeof item === "object" && item !== null) {
        if (depth >= maxDepth) return "depth";
        if (Array.isArray(item)) {
          for (const element of item) next.push(element);
          continue;
        }
        for (const [key, child] of Object.entries(item)) {
          if (!key.isWellFormed()) return "unicode";
          next.push(child);
        }
      }
    }
    level = next;
  }
  return null;
}
