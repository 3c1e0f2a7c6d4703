import type { FastifyReply } from "fastify";
import type { ErrorCode, LatchkeyError } from "../../../domain/error.js";
import { STATUS } from "../../call/status.js";
import { errorAnswer } from "./error-bodies.js";
import { ERROR_HEADERS } from "./error-headers.js";
import { JSON_TYPE } from "./json-answers.js";

/** Answers an error of any HTTP path in the shape that rest-sessions has. */
export function sendError(
  reply: FastifyReply,
  error: LatchkeyError,
  status = statusOf(error.code),
) {
  return reply
    .code(status)
    .headers({ ...ERROR_HEADERS[error.code], "content-type": JSON_TYPE })
    .send(JSON.stringify(errorAnswer(error)));
}

function statusOf(code: ErrorCode): number {
  return STATUS[code].http;
}
