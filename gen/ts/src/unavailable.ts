import { Code, ConnectError, type Transport } from "@connectrpc/connect";

/**
 * The transport, failing with UNAVAILABLE where no answer came for the network's sake, as gRPC
 * does. Connect has several codes for that.
 */
export function withUnavailable(
  transport: Transport,
  isNetworkFailure: (cause: Error) => boolean,
): Transport {
  const translate = (error: unknown): never => {
    const { rawMessage, code, cause } = ConnectError.from(error);
    const isDecided = code === Code.Canceled || code === Code.DeadlineExceeded;
    if (isDecided || !(cause instanceof Error) || !isNetworkFailure(cause)) throw error;
    throw new ConnectError(rawMessage, Code.Unavailable, undefined, undefined, cause);
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
