import { Readable } from "node:stream";
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type Code, ConnectError, type Transport } from "@connectrpc/connect";
import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { StatusSchema } from "../google/rpc/status_pb.js";
import { WAIT_FOR_CONNECTION } from "./policy.js";

const CHANNEL: ChannelOptions = {
  // A connection that is silently gone is found out while calls wait on it.
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
  // A server that is back is found soon; 1 s and 120 s by default.
  "grpc.initial_reconnect_backoff_ms": 200,
  "grpc.max_reconnect_backoff_ms": 10_000,
  // Closing a client closes its connections; it shares none with others.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_channelz": 0,
  "grpc.service_config_disable_resolution": 1,
};

/** A Transport of Connect's clients over `@grpc/grpc-js`, which connects when it is first used. */
export interface GrpcTransport extends Transport {
  close(): void;
}

/** `address` is `host:port`, or what else gRPC's name resolution knows. */
export function createGrpcTransport(
  address: string,
  credentials: ChannelCredentials,
  options: ChannelOptions = {},
): GrpcTransport {
  const channel = new Client(address, credentials, { ...CHANNEL, ...options });

  return {
    unary(method, signal, timeoutMs, header, input, context) {
      const metadata = toMetadata(header, context?.get(WAIT_FOR_CONNECTION));
      return new Promise((resolve, reject) => {
        let started: Metadata | undefined;
        let ended: Metadata | undefined;
        const { path, serialize, deserialize } = codecOf(method);
        const message = create(method.input, input);
        const options = deadlineOf(timeoutMs);
        const call = channel.makeUnaryRequest(
          path,
          serialize,
          deserialize,
          message,
          metadata,
          options,
          (error, answer) => {
            signal?.removeEventListener("abort", cancel);
            if (error) return reject(toConnectError(error));
            resolve({
              stream: false,
              service: method.parent,
              method,
              // gRPC has no answer without a message.
              message: answer as MessageShape<typeof method.output>,
              get header() {
                return toHeaders(started);
              },
              get trailer() {
                return toHeaders(ended);
              },
            });
          },
        );
        call.on("metadata", (received) => {
          started = received;
        });
        call.on("status", (received) => {
          ended = received.metadata;
        });
        const cancel = () => call.cancel();
        signal?.addEventListener("abort", cancel);
        if (signal?.aborted) cancel();
      });
    },

    async stream(method, signal, timeoutMs, header, input, context) {
      // On the wire all kinds of streams are alike.
      const { path, serialize, deserialize } = codecOf(method);
      const metadata = toMetadata(header, context?.get(WAIT_FOR_CONNECTION));
      const options = deadlineOf(timeoutMs);
      const call = channel.makeBidiStreamRequest(path, serialize, deserialize, metadata, options);
      const cancel = () => call.cancel();
      let failure: unknown;
      // Whoever does not read is told by the messages, later; unheard it would end the process.
      call.on("error", () => {});
      const requests = Readable.from(messagesOf(method.input, input));
      requests.on("error", (error) => {
        failure = error;
        cancel();
      });
      // Its type has no encodings, of which there are none between objects.
      requests.pipe(call as unknown as NodeJS.WritableStream);
      signal?.addEventListener("abort", cancel);
      if (signal?.aborted) cancel();

      async function* read(): AsyncGenerator<MessageShape<typeof method.output>> {
        try {
          yield* call;
        } catch (error) {
          throw failure ?? toConnectError(error as ServiceError);
        } finally {
          signal?.removeEventListener("abort", cancel);
          requests.destroy();
          cancel();
        }
      }
      return {
        stream: true,
        service: method.parent,
        method,
        message: read(),
        header: new Headers(),
        trailer: new Headers(),
      };
    },

    close: () => channel.close(),
  };
}

function codecOf<I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { readonly input: I; readonly output: O },
) {
  const { parent, name, input, output } = method;
  return {
    path: `/${parent.typeName}/${name}`,
    serialize: (message: MessageShape<I>) => Buffer.from(toBinary(input, message)),
    deserialize: (bytes: Buffer) => fromBinary(output, bytes),
  };
}

async function* messagesOf<I extends DescMessage>(
  input: I,
  given: AsyncIterable<MessageInitShape<I>>,
) {
  for await (const message of given) yield create(input, message);
}

const deadlineOf = (timeoutMs: number | undefined) =>
  timeoutMs !== undefined && timeoutMs > 0 ? { deadline: Date.now() + timeoutMs } : {};

function toMetadata(
  header: ConstructorParameters<typeof Headers>[0],
  waitForReady = false,
): Metadata {
  const metadata = new Metadata({ waitForReady });
  for (const [name, value] of new Headers(header)) metadata.set(name, value);
  return metadata;
}

function toHeaders(metadata: Metadata | undefined): Headers {
  const headers = new Headers();
  for (const [name, values] of Object.entries(metadata?.toJSON() ?? {})) {
    for (const value of values) {
      headers.append(name, typeof value === "string" ? value : value.toString("base64"));
    }
  }
  return headers;
}

/** The same error as Connect's own gRPC transport makes. */
function toConnectError(error: ServiceError): ConnectError {
  // The two number their codes alike.
  const code = (error.code ?? status.UNKNOWN) as number as Code;
  const { details = String(error), metadata } = error;
  const made = new ConnectError(details, code, toHeaders(metadata), undefined, error);
  const [bytes] = metadata?.get("grpc-status-details-bin") ?? [];
  if (bytes instanceof Uint8Array) {
    made.details = fromBinary(StatusSchema, bytes).details.map(({ typeUrl, value }) => ({
      type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
      value,
    }));
  }
  return made;
}
