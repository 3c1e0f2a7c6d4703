import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import type { LatchkeyError } from "./error.js";

/**
 * A failure that is the network's, for what the server did not say itself. Its message may reach
 * visitors; the server's address is in its cause only.
 */
export function networkError(
  code: Code,
  cause: unknown,
  metadata?: ConstructorParameters<typeof Headers>[0],
): ConnectError {
  const message = MESSAGES.get(code) ?? `Latchkey could not be called: ${Code[code]}`;
  return new ConnectError(message, code, metadata, undefined, cause);
}

const MESSAGES: ReadonlyMap<Code, string> = new Map([
  [Code.Unavailable, "Latchkey cannot be reached"],
  [Code.DeadlineExceeded, "Latchkey did not answer in time"],
  [Code.Canceled, "the call of Latchkey was cancelled"],
]);

/** Whether the call failed because nothing listens where the server should be, or nobody knows it. */
export function isRefused({ reason, cause }: LatchkeyError): boolean {
  if (reason !== undefined) return false;
  for (let inner: unknown = cause; isError(inner); inner = inner.cause) {
    if (/\b(ECONNREFUSED|ENOENT|ENOTFOUND)\b/.test(inner.message)) return true;
    if ("code" in inner && inner.code === "ECONNREFUSED") return true;
  }
  return false;
}

/** Jest and Vitest may give tests a realm of their own, whose Error is not that of Node's errors. */
const isError = (value: unknown): value is Error =>
  value instanceof Error || Object.prototype.toString.call(value) === "[object Error]";

/**
 * The transport, failing with UNAVAILABLE where no answer came for the network's sake, as gRPC
 * does. Connect has several codes for that.
 */
export function withUnavailable(
  transport: Transport,
  isNetworkFailure: (cause: Error) => boolean,
): Transport {
  const translate = (error: unknown): never => {
    const { code, cause } = ConnectError.from(error);
    if (code === Code.Canceled || code === Code.DeadlineExceeded) throw networkError(code, error);
    if (!isError(cause) || !isNetworkFailure(cause)) throw error;
    throw networkError(Code.Unavailable, cause);
  };
  const read = async function* <T>(messages: AsyncIterable<T>): AsyncIterable<T> {
    try {
      yield* messages;
    } catch (error) {
      translate(error);
    }
  };
  return {
    unary: (...call) => transport.unary(...call).catch(translate),
    stream: (...call) =>
      transport
        .stream(...call)
        .then((answer) => ({ ...answer, message: read(answer.message) }), translate),
  };
}
