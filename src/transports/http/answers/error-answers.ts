import type { IncomingMessage } from "node:http";
import { type Code, ConnectError } from "@connectrpc/connect";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import type { ErrorCode, LatchkeyError } from "../../../domain/error.js";
import { encodeStatus, errorDetails } from "../../call/error-details.js";
import { STATUS } from "../../call/status.js";
import { errorAnswer, rkeErrorAnswer } from "./error-bodies.js";
import { ERROR_HEADERS } from "./error-headers.js";
import { JSON_TYPE } from "./json-answers.js";

type Headers = Readonly<Record<string, string | number>>;

/** An answer that is ready to be sent. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

/** Connect's own table, where it is not that of the other APIs. */
const CONNECT_HTTP: { readonly [code in ErrorCode]?: number } = { overloaded: 429 };

/** Whether the request is for the typed API: Connect or gRPC-Web. */
export function isConnect({ url = "" }: IncomingMessage): boolean {
  return url.startsWith("/latchkey.");
}

/** Answers an error without a look at the request's body, in the form of the API that the request is for. */
export function createErrorAnswers(error: LatchkeyError): (request: IncomingMessage) => Answer {
  const { grpc, http } = STATUS[error.code];
  const answer = (status: number, body: Buffer, headers: Headers): Answer => ({
    status,
    headers: { ...headers, ...ERROR_HEADERS[error.code], "content-length": body.length },
    body,
  });
  const json = (status: number, value: unknown, type: string) =>
    answer(status, Buffer.from(JSON.stringify(value)), { "content-type": type });
  const connectError = () => {
    const code = grpc as number as Code; // Connect numbers its codes as gRPC does.
    const thrown = new ConnectError(error.message, code, undefined, errorDetails(error));
    return errorToJson(thrown, undefined);
  };
  const restSessions = once(() => json(http, errorAnswer(error), JSON_TYPE));
  const rke = once(() => json(http, rkeErrorAnswer(error, http), JSON_TYPE));
  const connect = once(() =>
    json(CONNECT_HTTP[error.code] ?? http, connectError(), "application/json"),
  );
  const connectStream = once(() => answer(200, endOfStream({ error: connectError() }), {}));
  const grpcWeb = once(() =>
    answer(200, Buffer.alloc(0), {
      "grpc-status": grpc,
      "grpc-message": encodeURIComponent(error.message),
      "grpc-status-details-bin": Buffer.from(encodeStatus(error)).toString("base64"),
    }),
  );
  return (request) => {
    const { url = "", headers } = request;
    if (url.startsWith("/api/rke/")) return rke();
    if (!isConnect(request)) return restSessions();
    const type = headers["content-type"] ?? "";
    const isStream = type.startsWith("application/connect+");
    if (!isStream && !type.startsWith("application/grpc-web")) return connect();
    // Both of these answer in the type that they were asked in.
    const shown = isStream ? connectStream() : grpcWeb();
    return { ...shown, headers: { ...shown.headers, "content-type": type } };
  };
}

/** `make`, whose value is kept. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** The one message of a stream of Connect that has no other: flags, length, JSON. */
function endOfStream(value: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(value));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(2);
  prefix.writeUInt32BE(text.length, 1);
  return Buffer.concat([prefix, text]);
}
