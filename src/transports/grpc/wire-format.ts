// Of the protobuf encoding: https://protobuf.dev/programming-guides/encoding/#structure

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;

/** What a field of a message begins with. */
export function tagOf(field: number, wireType: number): number {
  return (field << 3) | wireType;
}

/** The wire type of a field that begins so. */
export function wireTypeOf(tag: number): number {
  return tag & 7;
}
