/** Every way an operation can fail, as DESIGN's error table names them. */
export type ErrorCode =
  | "invalid"
  | "unauthenticated"
  | "forbidden"
  | "not_found"
  | "exists"
  | "version_mismatch"
  | "limit"
  | "overloaded"
  | "unavailable"
  | "internal";

/** Which field of a request was wrong, and in what way. */
export interface Violation {
  /** The field by its name in the .proto files, such as `user_id`. */
  readonly field: string;
  /** `missing`: empty or absent; `format`: of the wrong form; `value`: out of range. */
  readonly problem: "missing" | "format" | "value";
}

/** What an error may carry besides its message. */
export interface ErrorDetails {
  /** Set on every `invalid` error that one field is to blame for. */
  readonly violation?: Violation;
  /** What programs may go by besides the code: names and values, none of them secret. */
  readonly facts?: Readonly<Record<string, string>>;
  /** The session that the call ended, for its token had been stolen; logged, never shown to a caller. */
  readonly theft?: Theft;
  /** The fault behind it; logged, never shown to a caller. */
  readonly cause?: unknown;
}

/** A session whose secret somebody has who should not. */
export interface Theft {
  readonly app: string;
  readonly sessionId: string;
}

/**
 * The one error type. Its message is written for the caller: what was wrong and
 * what would be right, never a secret and never the inside of a fault.
 */
export class LatchkeyError extends Error {
  readonly code: ErrorCode;
  readonly violation: Violation | undefined;
  readonly facts: Readonly<Record<string, string>> | undefined;
  readonly theft: Theft | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "LatchkeyError";
    this.code = code;
    this.violation = details.violation;
    this.facts = details.facts;
    this.theft = details.theft;
  }
}

/** An `invalid` error that blames one field; `message` says what would be right. */
export function invalid(
  field: string,
  problem: Violation["problem"],
  message: string,
): LatchkeyError {
  return new LatchkeyError("invalid", message, { violation: { field, problem } });
}

/** What a caller is told of a fault inside the server: nothing but that there was one. */
export function internalError(cause?: unknown): LatchkeyError {
  return new LatchkeyError("internal", "internal server error", { cause });
}

/** What a call is answered for which the server has no time; it had no effect. */
export function overloaded(): LatchkeyError {
  return new LatchkeyError(
    "overloaded",
    "the server has more calls than it can answer in time, and did nothing for this one: try again later",
  );
}

/** The refusal of a new session whose token or id another has, or of a token that one had. */
export function sessionExists(cause?: unknown): LatchkeyError {
  return new LatchkeyError("exists", "the token is taken: make another", { cause });
}

/**
 * What a call is answered that names no live session of its app. Unknown tokens cost little more
 * than known ones: no stack is recorded, which would be most of their price and is of no use.
 */
export function noSession(details: ErrorDetails = {}): LatchkeyError {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return new LatchkeyError("not_found", "the app has no live session of this name", details);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** What a fault says, in one line for a log, whatever was thrown: also what a thread threw, which may
 * arrive as an object of no class. */
export function describeFault(fault: unknown): string {
  if (typeof fault !== "object" || fault === null) return String(fault);
  const { message, code } = fault as { readonly message?: unknown; readonly code?: unknown };
  if (typeof message === "string" && message !== "") return message;
  if (typeof code === "string") return code;
  return fault instanceof Error ? fault.name : "an unknown fault";
}
