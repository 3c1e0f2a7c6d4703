import type { FastifyError } from "fastify";
import { internalError, LatchkeyError } from "../../../domain/error.js";
import { STATUS } from "../../call/status.js";

/**
 * Returns what makes the error that a caller is shown of one that Fastify or a handler threw.
 * `faulted` logs a fault with its cause and returns `internal`; `maxBody` is in bytes.
 */
export function createFrameworkErrors(
  faulted: (error: unknown) => LatchkeyError,
  maxBody: number,
): (error: unknown) => LatchkeyError {
  return (error) => {
    if (error instanceof LatchkeyError) return error;
    const { code, message = "", statusCode } = (error ?? {}) as Partial<FastifyError>;
    // The caller left while its body was read: no fault, and nobody to answer.
    if (code === "ECONNRESET") return internalError();
    if (statusCode === undefined || statusCode >= STATUS.internal.http) return faulted(error);
    if (code === "FST_ERR_BAD_URL") {
      // Its own message repeats the path, and so perhaps a token.
      return new LatchkeyError("invalid", "the path must be percent-encoded UTF-8");
    }
    if (statusCode === 413) {
      return new LatchkeyError("invalid", `the body must be at most ${maxBody} bytes`);
    }
    return new LatchkeyError("invalid", message);
  };
}
