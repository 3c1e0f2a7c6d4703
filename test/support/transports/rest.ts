import { Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from "node:http";

/** An answer as it came: nothing of it is decoded. */
export interface RestAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
}

export interface RestBody {
  readonly content: string | Uint8Array;
  /** Content type; none is sent if it is absent. */
  readonly type?: string;
  /** Content encoding; none is sent if it is absent. */
  readonly encoding?: string;
}

export type Rest = ReturnType<typeof openRest>;

/** The content type that every answer of the endpoints has. */
export const JSON_TYPE = "application/json; charset=utf-8";

/**
 * An HTTP client that sends paths to the letter; `fetch` would rewrite some.
 * At most 64 connections, so that a thousand calls at once do not overrun the
 * listener's queue.
 */
export function openRest(address: string, keepAlive = true) {
  const agent = new Agent({ keepAlive, maxSockets: 64 });
  const colon = address.lastIndexOf(":");
  const [host, port] = [address.slice(0, colon), Number(address.slice(colon + 1))];

  const call = (
    method: string,
    path: string,
    body?: RestBody,
    others: OutgoingHttpHeaders = {},
  ): Promise<RestAnswer> =>
    new Promise((resolve, reject) => {
      const headers = {
        ...others,
        ...(body?.type === undefined ? {} : { "content-type": body.type }),
        ...(body?.encoding === undefined ? {} : { "content-encoding": body.encoding }),
        ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body.content) }),
      };
      const sent = request({ agent, host, port, method, path, headers }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("error", reject);
        answer.on("end", () => {
          const bytes = Buffer.concat(chunks);
          const { statusCode: status = 0, headers } = answer;
          resolve({ status, headers, bytes, text: bytes.toString() });
        });
      });
      sent.on("error", reject);
      sent.end(body?.content);
    });

  return {
    call,
    /** Sends a JSON value, or nothing if it is undefined. */
    send: (method: string, path: string, value?: unknown) =>
      call(
        method,
        path,
        value === undefined
          ? undefined
          : { content: JSON.stringify(value), type: "application/json" },
      ),
    close: () => agent.destroy(),
  };
}
