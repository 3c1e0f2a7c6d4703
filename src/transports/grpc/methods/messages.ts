import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { MethodDefinition } from "@grpc/grpc-js";
import { LatchkeyError } from "../../../domain/error.js";
import { messageValuesCheck } from "../../rpc/message-values.js";

const same = (bytes: Buffer): Buffer => bytes;

/**
 * A method whose messages stay bytes as far as grpc-js is concerned: what it would answer to a
 * request that cannot be decoded is INTERNAL.
 */
export function bytesMethod(
  name: string,
  streams: { readonly requestStream: boolean; readonly responseStream: boolean },
): MethodDefinition<Buffer, Buffer> {
  return {
    path: `/${name}`,
    ...streams,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

/**
 * Returns a function that decodes requests of the type; it throws `invalid` for bytes
 * that are none, and for more values than any request needs.
 */
export function decoderOf<D extends DescMessage>({
  input,
}: {
  readonly input: D;
}): (bytes: Buffer) => MessageShape<D> {
  const checkValues = messageValuesCheck(input);
  return (bytes) => {
    checkValues(bytes);
    try {
      return fromBinary(input, bytes);
    } catch (error) {
      const reason = error instanceof Error ? `: ${error.message}` : "";
      throw new LatchkeyError("invalid", `the request is no ${input.typeName}${reason}`);
    }
  };
}

/** Returns a function that encodes responses of the type, given as `create` takes them. */
export function encoderOf<D extends DescMessage>({
  output,
}: {
  readonly output: D;
}): (response: MessageInitShape<D>) => Buffer {
  return (response) => {
    const bytes = toBinary(output, create(output, response));
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}
