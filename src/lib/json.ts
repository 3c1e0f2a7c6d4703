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

/** `base` with `patch` applied: JSON Merge Patch, RFC 7396. Recurses as deep as the patch is nested. */
export function mergePatch(base: JsonObject, patch: JsonObject): JsonObject {
  const merged = new Map(Object.entries(base));
  for (const [key, change] of Object.entries(patch)) {
    const before = merged.get(key);
    if (change === null) merged.delete(key);
    else if (isJsonObject(change)) {
      merged.set(key, mergePatch(isJsonObject(before) ? before : {}, change));
    } else merged.set(key, change);
  }
  return Object.fromEntries(merged);
}

/** The value as JSON, the same text for equal values whatever the order of their keys. */
export function canonicalJson(value: JsonValue): string {
  return JSON.stringify(value, (_key, one: JsonValue) =>
    isJsonObject(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );
}

/** About how many bytes the value takes as a google.protobuf.Value. Recurses as deep as it is nested. */
export function messageBytes(value: JsonValue): number {
  if (typeof value === "string") return 6 + Buffer.byteLength(value);
  if (typeof value === "number") return 11;
  if (typeof value === "boolean" || value === null) return 4;
  const items = Array.isArray(value)
    ? value.map(messageBytes)
    : Object.entries(value).map(([key, item]) => messageBytes(key) + messageBytes(item));
  return items.reduce((sum, bytes) => sum + bytes, 6);
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
