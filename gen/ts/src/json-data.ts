import type { DescMessage, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema } from "../google/rpc/error_details_pb.js";
import { LatchkeyError } from "./error.js";

/** Deeper than the server takes, and less than a stack holds; a circle is found by it. */
const MAX_DEPTH = 64;
const STRUCT = "google.protobuf.Struct";

/**
 * Returns the request with its `data` as plain JSON, if its message has one. Objects with a `toJSON`
 * become what that answers, so Dates become ISO strings; properties that are undefined are left
 * out, as by JSON.stringify. Fails with INVALID_ARGUMENT for what JSON cannot say and
 * JSON.stringify would change or drop.
 */
export function withJsonData<T>(input: DescMessage, request: T): T {
  if (input.field["data"]?.message?.typeName !== STRUCT) return request;
  const { data } = request as { data?: unknown };
  return data === undefined ? request : { ...request, data: toJsonData(data) };
}

/** The value as a JSON object; fails as `withJsonData` does. */
export function toJsonData(value: unknown): JsonObject {
  const json = toJson(value, "data", 0);
  if (json === null || typeof json !== "object" || Array.isArray(json)) {
    throw invalid("data", "must be an object");
  }
  return json;
}

function toJson(given: unknown, path: string, depth: number): JsonValue {
  if (depth > MAX_DEPTH) throw invalid(path, `is more than ${MAX_DEPTH} levels deep, or a circle`);
  const value = hasToJson(given) ? given.toJSON("") : given;
  switch (typeof value) {
    case "boolean":
      return value;
    case "number":
      if (!Number.isFinite(value)) throw invalid(path, `is ${value}, which JSON cannot say`);
      return value;
    case "string":
      return checkText(value, path);
    case "object":
      break;
    default:
      throw invalid(path, `is of type ${typeof value}, which JSON cannot say`);
  }
  if (value === null) return null;
  if (Array.isArray(value)) {
    // From: a hole in an array is undefined, and refused.
    return Array.from(value, (item, at) => toJson(item, `${path}[${at}]`, depth + 1));
  }
  if (!isPlain(value)) throw invalid(path, "is an object that JSON cannot say, such as a Map");
  const entries = Object.entries(value).filter(([, property]) => property !== undefined);
  return Object.fromEntries(
    entries.map(([key, property]) => {
      // The library that encodes messages would drop it.
      if (key === "__proto__") throw invalid(path, "has the key __proto__");
      return [checkText(key, path), toJson(property, `${path}.${key}`, depth + 1)];
    }),
  );
}

function hasToJson(value: unknown): value is { toJSON(key: string): unknown } {
  return (
    typeof value === "object" &&
    value !== null &&
    "toJSON" in value &&
    typeof value.toJSON === "function"
  );
}

/** A literal's prototype in any realm, such as that of Jest's tests, has none of its own. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return true;
  // An instance of an app's own class is what its properties are, as for JSON.stringify.
  return Object.prototype.toString.call(value) === "[object Object]";
}

function checkText(text: string, path: string): string {
  if (/\p{Surrogate}/u.test(text)) throw invalid(path, "has half of a surrogate pair");
  return text;
}

function invalid(field: string, description: string): LatchkeyError {
  const value = { fieldViolations: [{ field, description }] };
  const details = [{ desc: BadRequestSchema, value }];
  const message = `${field} ${description}`;
  return new LatchkeyError(new ConnectError(message, Code.InvalidArgument, undefined, details));
}
