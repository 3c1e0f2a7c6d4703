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
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  connectivityState,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { StatusSchema } from "../google/rpc/status_pb.js";
import { DEADLINE } from "./policy.js";
import { createQueue } from "./queue.js";
import { networkError } from "./unavailable.js";

const CHANNEL: ChannelOptions = {
  // A server that is back is found soon; 1 s and 120 s by default.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 500,
  // Closing a client closes its connections; it shares none with others.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_channelz": 0,
  "grpc.service_config_disable_resolution": 1,
};

/** Unary calls under way; node:http2 resets streams where more than 1,024 begin at once. */
const PLACES = 500;

/**
 * A connection that is silently gone is found within three fifths of the calls' deadline (ms), so
 * that there is time for another one. Pings are sent while calls wait, once a second at most.
 */
const keepalive = (deadline: number): ChannelOptions => ({
  "grpc.keepalive_time_ms": Math.min(1_000, Math.max(100, deadline / 5)),
  "grpc.keepalive_timeout_ms": Math.min(2_000, Math.max(200, (deadline * 2) / 5)),
});

/** A Transport of Connect's clients over `@grpc/grpc-js`, which connects when it is first used. */
export interface GrpcTransport extends Transport {
  close(): void;
}

/** `address` is `host:port`, or what else gRPC's name resolution knows. */
export function createGrpcTransport(
  address: string,
  credentials: ChannelCredentials,
  deadline: number,
  options: ChannelOptions = {},
): GrpcTransport {
  const all = { ...CHANNEL, ...keepalive(deadline > 0 ? deadline : DEADLINE), ...options };
  const open = () => new Client(address, credentials, all);
  const queue = createQueue(PLACES);
  let channel = open();
  let isClosed = false;
  /** A host that was silent drops what it got: only a new connection finds it back soon. */
  const renew = (used: Client) => {
    const { CONNECTING } = connectivityState;
    const isStuck = used.getChannel().getConnectivityState(false) === CONNECTING;
    if (isClosed || channel !== used || !isStuck) return;
    channel = open();
    used.close();
  };

  return {
    async unary(method, signal, timeoutMs = 0, header, input) {
      if (isClosed) throw new ConnectError("the client is closed", Code.FailedPrecondition);
      const { path, serialize, deserialize } = codecOf(method);
      // Here, and not by gRPC, so that what cannot be encoded is no failure of a call.
      const bytes = serialize(create(method.input, input));
      const metadata = toMetadata(header);
      const options = deadlineOf(timeoutMs);
      const leave = await queue.enter(timeoutMs, signal);
      if (!leave) throw networkError(signal?.aborted ? Code.Canceled : Code.DeadlineExceeded, null);
      const used = channel;
      return new Promise((resolve, reject) => {
        let started: Metadata | undefined;
        let ended: Metadata | undefined;
        const onEnd = (error: ServiceError | null, answer?: MessageShape<typeof method.output>) => {
          leave();
          signal?.removeEventListener("abort", cancel);
          if (error) {
            if (error.code === status.DEADLINE_EXCEEDED) renew(used);
            return reject(toConnectError(error));
          }
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
        };
        const call = used.makeUnaryRequest(
          path,
          asIs,
          deserialize,
          bytes,
          metadata,
          options,
          onEnd,
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

    async stream(method, signal, timeoutMs, header, input) {
      // On the wire all kinds of streams are alike.
      const { path, serialize, deserialize } = codecOf(method);
      const metadata = toMetadata(header);
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

    close() {
      isClosed = true;
      channel.close();
    },
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

const asIs = (bytes: Buffer) => bytes;

function toMetadata(header: ConstructorParameters<typeof Headers>[0]): Metadata {
  const metadata = new Metadata();
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
  const [bytes] = metadata?.get("grpc-status-details-bin") ?? [];
  const headers = toHeaders(metadata);
  if (!(bytes instanceof Uint8Array)) return networkError(code, error, headers);
  const made = new ConnectError(details, code, headers, undefined, error);
  made.details = fromBinary(StatusSchema, bytes).details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  return made;
}
