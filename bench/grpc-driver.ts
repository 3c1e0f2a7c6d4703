import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import {
  GetSessionRequestSchema,
  SessionService,
} from "../gen/ts/latchkey/session/v1/session_service_pb.js";
import {
  APP,
  DATA,
  DEADLINE_MS,
  type Driver,
  type DriverOptions,
  IP,
  prepareTokens,
} from "./driver.js";
import { runH2load } from "./load.js";
import { methodOf } from "./method.js";

const { createSession, getSession } = SessionService.method;
const GET_PATH = methodOf(getSession).path;

/**
 * Drives GetSession with h2load, which posts one and the same body: all calls
 * read one of the prepared sessions.
 */
export async function openGrpcGetDriver(options: DriverOptions): Promise<Driver> {
  const { server, dir, sessions } = options;
  const { grpc, headers = {} } = server;
  if (grpc === undefined) throw new Error("the server has no gRPC address");

  const [token = ""] = await withClient(grpc, (client) =>
    prepareTokens(sessions, async (userId) => {
      const request = { app: APP, userId, ip: IP, data: DATA };
      return (await call(client, createSession, request, headers)).token;
    }),
  );
  const message = create(GetSessionRequestSchema, { app: APP, token });
  const body = join(dir, "request.bin");
  await writeFile(body, framed(toBinary(GetSessionRequestSchema, message)));

  return {
    transport: "grpc",
    method: GET_PATH.slice(1),
    async carriedOut() {
      const request = { app: APP, token, peek: true };
      const { session } = await withClient(grpc, (client) =>
        call(client, getSession, request, headers),
      );
      return Number(session?.reads);
    },
    run: (load) => runH2load(load, body, `http://${grpc}${GET_PATH}`, headers),
  };
}

async function withClient<T>(address: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(address, credentials.createInsecure());
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

function call<I extends DescMessage, O extends DescMessage>(
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
function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}
