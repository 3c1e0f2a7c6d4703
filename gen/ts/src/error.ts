import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../google/rpc/error_details_pb.js";

/** The package has two copies of the class, for import and for require. */
const BRAND = Symbol.for("latchkey.LatchkeyError");

/** What every failed call of a client is rejected with. */
export class LatchkeyError extends Error {
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && BRAND in value;
  }

  /** @internal */
  readonly [BRAND]: true;
  /** gRPC's code of it. */
  readonly code: Code;
  /**
   * Why, as docs/errors.md lists it: `NOT_FOUND`, `VERSION_MISMATCH`. Undefined if the server did
   * not answer.
   */
  readonly reason: string | undefined;
  /** The fields of the request that are to blame, by their names in the .proto files. */
  readonly fields: readonly string[];
  /** What else programs may go by, such as `exchange_reason`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Milliseconds after which the server asks to be called again, if it does. */
  readonly retryAfter: number | undefined;

  constructor(error: ConnectError) {
    super(error.rawMessage, { cause: error });
    this.name = "LatchkeyError";
    this[BRAND] = true;
    Object.defineProperty(this, BRAND, { enumerable: false });
    this.code = error.code;
    const [info] = error.findDetails(ErrorInfoSchema);
    this.reason = info?.reason;
    this.metadata = { ...info?.metadata };
    this.fields = error
      .findDetails(BadRequestSchema)
      .flatMap(({ fieldViolations }) => fieldViolations.map(({ field }) => field));
    const [delay] = error.findDetails(RetryInfoSchema).map(({ retryDelay }) => retryDelay);
    this.retryAfter = delay && Number(delay.seconds) * 1000 + delay.nanos / 1e6;
  }
}

/** Whatever a transport failed with, as a LatchkeyError. */
export function toLatchkeyError(error: unknown): LatchkeyError {
  return error instanceof LatchkeyError ? error : new LatchkeyError(ConnectError.from(error));
}

export { Code };
