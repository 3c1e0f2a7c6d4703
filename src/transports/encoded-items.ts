import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/**
 * Returns a message that encodes to these items, each encoded before, of its repeated field: so that
 * a long answer can be encoded little by little. In JSON it has none.
 */
export function encodedItems<D extends DescMessage>(
  schema: D,
  field: number,
  items: readonly Uint8Array[],
): MessageShape<D> {
  const message = create(schema);
  message.$unknown = items.map((item) => ({
    no: field,
    wireType: WireType.LengthDelimited,
    data: new BinaryWriter().bytes(item).finish(),
  }));
  return message;
}
