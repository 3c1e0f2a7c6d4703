import type { ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import { universalResponseToNodeResponse } from "@connectrpc/connect-node";

/**
 * Answers a call with a stream that proxies do not hold back: nginx heeds `x-accel-buffering`, and
 * others after it.
 */
export function createStreamAnswer(response: ServerResponse) {
  return {
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
      if (response.headersSent && answer.body) return pipeline(answer.body, response);
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
