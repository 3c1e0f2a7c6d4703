import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { DEADLINE_MS } from "../drivers/driver.js";
import { methodOf } from "./method.js";

/** Lets `use` have a client of the server and closes it. */
export async function withClient<T>(
  address: string,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client(address, credentials.createInsecure());
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** Calls a unary RPC; rejects if it fails. */
export function call<I extends DescMessage, O extends DescMessage>(
  client: Client,
  rpc: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  headers: Readonly<Record<string, string>>,
): Promise<MessageShape<O>> {
  const { path, requestSerialize, responseDeserialize } = methodOf(rpc);
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      create(rpc.input, request),
      metadata,
      { deadline: Date.now() + DEADLINE_MS },
      (error, response) => {
        if (response === undefined) reject(error ?? new Error(`${path} answered nothing`));
        else resolve(response);
      },
    );
  });
}

/** A message as gRPC sends it: uncompressed, its length before it. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}
