import type { DescMessage } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { LatchkeyError } from "../../domain/error.js";

/**
 * Values in a request as JSON: members, items and entries on all levels. A session's data has 30,000
 * at the most, which its bytes allow. Each takes 2 µs to decode and some 100 bytes.
 */
export const MAX_VALUES = 40_000;
/** Fields of a message on all levels. A value of JSON is two: an item, and its kind. */
const MAX_FIELDS = 2 * MAX_VALUES;

/** The least bytes that a value of JSON has, or a field. */
const LEAST = 2;

const [QUOTE, COMMA, BACKSLASH] = [0x22, 0x2c, 0x5c];
const [BRACKET, BRACE] = [0x5b, 0x7b];

/** Throws `invalid` if the JSON has too many values; looks at it once, and does not judge it otherwise. */
export function checkJsonValues(bytes: Uint8Array): void {
  if (bytes.length <= LEAST * MAX_VALUES) return;
  let values = 1;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      for (at++; at < bytes.length && bytes[at] !== QUOTE; at++) {
        if (bytes[at] === BACKSLASH) at++;
      }
    } else if (byte === COMMA || byte === BRACKET || byte === BRACE) {
      if (++values > MAX_VALUES) throw tooMany();
    }
  }
}

/** The fields of a message that are messages, by their numbers. */
type Shape = ReadonlyMap<number, () => Shape>;

/**
 * Returns the same check for messages of a type in their binary form. Bytes that are no such message
 * pass: the decoder says better what is wrong with them.
 */
export function messageValuesCheck(desc: DescMessage): (bytes: Uint8Array) => void {
  const shapes = new Map<DescMessage, Shape>();
  const shapeOf = (type: DescMessage): Shape => {
    const known = shapes.get(type);
    if (known) return known;
    const shape = new Map<number, () => Shape>();
    shapes.set(type, shape);
    for (const field of type.fields) {
      const { message } = field;
      if (!message) continue;
      // An entry of a map is a message whose second field is the value.
      const isMap = field.fieldKind === "map";
      const value = () => shapeOf(message);
      const entry: Shape = new Map([[2, value]]);
      shape.set(field.number, isMap ? () => entry : value);
    }
    return shape;
  };
  return (bytes) => {
    if (bytes.length > LEAST * MAX_FIELDS) countFields(shapeOf(desc), bytes);
  };
}

function countFields(shape: Shape, bytes: Uint8Array): void {
  let fields = 0;
  // What is still to be looked at, in place of a recursion as deep as the caller likes.
  const rest = [{ shape, bytes }];
  for (let next = rest.pop(); next; next = rest.pop()) {
    const reader = new BinaryReader(next.bytes);
    try {
      while (reader.pos < reader.len) {
        const [number, wireType] = reader.tag();
        if (++fields > MAX_FIELDS) throw tooMany();
        const inner = next.shape.get(number);
        if (inner && wireType === WireType.LengthDelimited) {
          rest.push({ shape: inner(), bytes: reader.bytes() });
        } else {
          reader.skip(wireType, number);
        }
      }
    } catch (error) {
      if (error instanceof LatchkeyError) throw error;
      return;
    }
  }
}

function tooMany(): LatchkeyError {
  return new LatchkeyError("invalid", `the request has more than ${MAX_VALUES} values`);
}
