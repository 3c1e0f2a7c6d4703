import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/**
 * Returns a message that has these items of a repeated field, too, each encoded before: so that a
 * long answer can be encoded little by little. In JSON it would lack them.
 */
export function withEncoded<D extends DescMessage>(
  schema: D,
  init: MessageInitShape<D>,
  { number }: { readonly number: number },
  items: readonly Uint8Array[],
): MessageShape<D> {
  const message = create(schema, init);
  message.$unknown = items.map((item) => ({
    no: number,
    wireType: WireType.LengthDelimited,
    data: new BinaryWriter().bytes(item).finish(),
  }));
  return message;
}
