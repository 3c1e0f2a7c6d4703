import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from "node:http2";

const MIB = 2 ** 20;

/** The beginning of a message that says it has so many bytes, of which `sent` come. */
export function beginMessage(length = MIB, sent = 1, isPacked = false): Buffer {
  const begun = Buffer.alloc(5 + sent);
  begun.writeUInt8(isPacked ? 1 : 0);
  begun.writeUInt32BE(length, 1);
  return begun;
}

/** A call by gRPC whose request does not end. */
export interface HalfCall {
  /** Its status; rejects if it is reset without one. */
  readonly answer: Promise<{
    readonly code: number;
    readonly message: string;
    readonly details: unknown;
  }>;
  write(bytes: Buffer): void;
  cancel(): void;
}

export interface HalfCalls {
  begin(path: string, bytes: Buffer, headers?: Readonly<Record<string, string>>): HalfCall;
  /** How many calls at a time the server says that it takes by the connection. */
  mostCalls(): number | undefined;
  close(): void;
}

/** Opens a connection that makes such calls. */
export function openHalfCalls(address: string): HalfCalls {
  const session: ClientHttp2Session = connect(`http://${address}`, {
    // What is not sent yet counts, and is much.
    maxSessionMemory: 4_096,
  });
  session.on("error", () => {});
  return {
    begin(path, bytes, headers = {}) {
      const stream = session.request(
        {
          ":method": "POST",
          ":path": path,
          "content-type": "application/grpc",
          te: "trailers",
          ...headers,
        },
        { endStream: false },
      );
      const answer: HalfCall["answer"] = new Promise((resolve, reject) => {
        const take = (headers: IncomingHttpHeaders) => {
          const { "grpc-status": code, "grpc-message": message } = headers;
          if (code === undefined) return;
          const details = headers["grpc-status-details-bin"];
          resolve({ code: Number(code), message: decodeURI(`${message}`), details });
        };
        stream.on("response", take).on("trailers", take).on("error", reject);
        stream.on("close", () => reject(new Error(`closed with ${stream.rstCode}`)));
      });
      // One that a test does not wait for may be reset.
      answer.catch(() => {});
      stream.resume();
      stream.write(bytes);
      return {
        answer,
        write: (more) => void stream.write(more),
        cancel: () => stream.close(constants.NGHTTP2_CANCEL),
      };
    },
    mostCalls: () => session.remoteSettings?.maxConcurrentStreams,
    close: () => session.destroy(),
  };
}
