import type { IncomingMessage, ServerResponse } from "node:http";
import { type Code, ConnectError } from "@connectrpc/connect";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import { overloaded } from "../../domain/error.js";
import type { Admission } from "../admission.js";
import { encodeStatus, errorDetails, RETRY_AFTER } from "../error-details.js";
import { STATUS } from "../status.js";
import { JSON_TYPE } from "./json-answers.js";
import { HEALTH_PATHS } from "./operations.js";
import { pathOf } from "./request-path.js";
import { errorAnswer } from "./rest-sessions/input.js";
import { rkeErrorAnswer } from "./rke/routes.js";

/** What is answered however busy the server is: how it does. */
const ALWAYS: ReadonlySet<string> = new Set([...HEALTH_PATHS, "/ping", "/metrics"]);

/** An answer that is ready to be sent. */
interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: Buffer;
}

/** Whether the request is taken up; one that is not is answered, with its body unread. */
export type Admit = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Refuses requests in the form of the API that each is for. */
export function createAdmit(admission: Admission): Admit {
  const answers = createAnswers();
  return (request, response) => {
    if (admission.admits()) return true;
    const { url = "", headers } = request;
    const path = pathOf(url);
    if (ALWAYS.has(path)) return true;
    const { isConnect, answer } = chooseAnswer(answers, path, headers["content-type"] ?? "");
    admission.refuse(isConnect ? "connect" : "http", () => {
      response.writeHead(answer.status, answer.headers).end(answer.body);
    });
    return false;
  };
}

function chooseAnswer(answers: ReturnType<typeof createAnswers>, path: string, type: string) {
  if (path.startsWith("/api/rke/")) return { isConnect: false, answer: answers.rke };
  if (!path.startsWith("/latchkey.")) return { isConnect: false, answer: answers.restSessions };
  const { grpcWeb, connectStream, connect } = answers;
  // Both of these answer in the type that they were asked in.
  const stream = type.startsWith("application/grpc-web")
    ? grpcWeb
    : type.startsWith("application/connect+")
      ? connectStream
      : null;
  if (!stream) return { isConnect: true, answer: connect };
  return {
    isConnect: true,
    answer: { ...stream, headers: { ...stream.headers, "content-type": type } },
  };
}

function createAnswers() {
  const error = overloaded();
  const { grpc, http } = STATUS[error.code];
  const answer = (
    status: number,
    body: Buffer,
    headers: Readonly<Record<string, string | number>>,
  ): Answer => ({
    status,
    headers: { ...headers, "retry-after": RETRY_AFTER, "content-length": body.length },
    body,
  });
  const json = (status: number, value: unknown, type: string) =>
    answer(status, Buffer.from(JSON.stringify(value)), { "content-type": type });
  const connectError = errorToJson(
    new ConnectError(error.message, grpc as number as Code, undefined, errorDetails(error)),
    undefined,
  );
  return {
    restSessions: json(http, errorAnswer(error), JSON_TYPE),
    rke: json(http, rkeErrorAnswer(error, http), JSON_TYPE),
    // Connect's own table has 429 for RESOURCE_EXHAUSTED.
    connect: json(429, connectError, "application/json"),
    connectStream: answer(200, endOfStream({ error: connectError }), {}),
    grpcWeb: answer(200, Buffer.alloc(0), {
      "grpc-status": grpc,
      "grpc-message": encodeURIComponent(error.message),
      "grpc-status-details-bin": Buffer.from(encodeStatus(error)).toString("base64"),
    }),
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
