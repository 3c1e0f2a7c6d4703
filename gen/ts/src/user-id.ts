const UUID_OR_OBJECT_ID = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{24})$/i;

/**
 * Returns the user's id as Latchkey takes it: 1 to 128 characters, none a control character. Integers
 * become their decimal digits, objects of a UUID or of MongoDB's ObjectId their text. Null and
 * undefined are nobody. Throws for anything else, of which nobody knows whose session it would be.
 */
export function toUserId(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  const text = textOf(value);
  const length = text === undefined ? 0 : [...text].length;
  if (text === undefined || length < 1 || length > 128 || /\p{Cc}/u.test(text)) {
    throw new TypeError(
      `a user's id must be a text of 1 to 128 characters, an integer, a UUID or an ObjectId, not ${kindOf(value)}`,
    );
  }
  return text;
}

function textOf(value: unknown): string | undefined {
  if (typeof value === "string" || typeof value === "bigint") return String(value);
  if (typeof value === "number") return Number.isSafeInteger(value) ? String(value) : undefined;
  if (value instanceof String) return String(value);
  if (typeof value !== "object" || value === null) return undefined;
  if ("toHexString" in value && typeof value.toHexString === "function") {
    return String(value.toHexString());
  }
  if (Array.isArray(value) || typeof value.toString !== "function") return undefined;
  const text = String(value);
  return UUID_OR_OBJECT_ID.test(text) ? text : undefined;
}

/** The value itself may be a secret. */
function kindOf(value: unknown): string {
  if (typeof value === "string") return `a text of ${value.length} characters`;
  if (typeof value === "number") return "a number that is no safe integer";
  return typeof value === "object" ? "another object" : `a ${typeof value}`;
}
