import { type DescMessage, isMessage, type Message, toJson } from "@bufbuild/protobuf";

/**
 * Gives the message, and those in it, a `toJSON`, so that JSON.stringify writes them as Protobuf's
 * JSON. Without it, their 64-bit numbers make it throw.
 */
export function withToJson<M extends Message>(desc: DescMessage, message: M): M {
  const values = message as Message & Readonly<Record<string, unknown>>;
  for (const field of desc.fields) {
    if (!field.message) continue;
    for (const inner of innerOf(values, field.localName, field.oneof?.localName)) {
      if (isMessage(inner, field.message)) withToJson(field.message, inner);
    }
  }
  return Object.defineProperty(message, "toJSON", {
    value: () => toJson(desc, message, { alwaysEmitImplicit: true }),
    configurable: true,
  });
}

function innerOf(
  values: Readonly<Record<string, unknown>>,
  name: string,
  oneof: string | undefined,
): readonly unknown[] {
  if (oneof !== undefined) {
    const chosen = values[oneof] as { case?: string; value?: unknown };
    return chosen.case === name ? [chosen.value] : [];
  }
  const value = values[name];
  return Array.isArray(value) ? value : [value];
}
