import type { ServerResponse } from "node:http";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import { universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { AnswerStream, UnreadAnswers } from "../../call/unread-answers.js";

/** The library keeps a message until its bytes are sent, which takes so many times as much. */
const WEIGHT = 8;

export type StreamAnswer = ReturnType<typeof createStreamAnswer>;

/**
 * Answers a call with a stream that proxies do not hold back: nginx heeds `x-accel-buffering`, and
 * others after it.
 */
export function createStreamAnswer(
  response: ServerResponse,
  unread: UnreadAnswers,
  owner: string | number,
) {
  const answers: AnswerStream = unread.open({
    ...{ owner, connection: response.socket, weight: WEIGHT },
    cut: () => response.destroy(),
  });
  response.once("close", answers.end);
  if (response.destroyed) answers.end();

  /** Writes the chunks, each when the one before has left. */
  const write = async (chunks: AsyncIterable<Uint8Array>): Promise<void> => {
    const iterator = chunks[Symbol.asyncIterator]();
    const sendNext = async (): Promise<boolean> => {
      const { done, value } = await iterator.next();
      if (done || response.destroyed) return false;
      const sent = answers.send(value.length, (left) => response.write(value, () => left()));
      // The chunks that follow tell of the failure.
      await sent.catch(() => {});
      return true;
    };
    try {
      while (await sendNext());
    } finally {
      await iterator.return?.();
    }
    response.end();
  };

  return {
    /** Resolves once there is memory for the next message. */
    room: answers.room,

    /** Throws why no more messages are to be sent, if so. */
    check(): void {
      const failure = answers.failure();
      if (failure) throw failure;
    },

    /**
     * Sends the headers, so that the caller learns that it is served however long nothing happens.
     * The library would send them with the first message.
     */
    begin(header: Headers): void {
      if (response.headersSent || response.destroyed) return;
      response.writeHead(200, Object.fromEntries(unbuffered(header)));
      response.flushHeaders();
    },

    /** Sends the rest, or all if it did not begin; rejects when the caller has gone. */
    async end(answer: UniversalServerResponse): Promise<void> {
      if (response.headersSent && answer.body) return write(answer.body);
      const header = unbuffered(answer.header);
      await universalResponseToNodeResponse({ ...answer, header }, response);
    },
  };
}

function unbuffered(given: Headers | undefined): Headers {
  const header = new Headers(given);
  header.set("x-accel-buffering", "no");
  return header;
}
