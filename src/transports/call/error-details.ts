import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../../gen/ts/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../../gen/ts/google/rpc/status_pb.js";
import type { LatchkeyError } from "../../domain/error.js";
import { STATUS } from "./status.js";

/** Seconds after which a caller may try again whom an overloaded server refused. */
export const RETRY_AFTER = 1;

/** A message that explains an error, as schema and content. */
export interface ErrorDetail {
  readonly desc: DescMessage;
  readonly value: MessageInitShape<DescMessage>;
}

/** ErrorInfo for every error, BadRequest where one field is to blame, RetryInfo where time helps. */
export function errorDetails(error: LatchkeyError): ErrorDetail[] {
  const info = {
    domain: "latchkey",
    reason: error.code.toUpperCase(),
    metadata: { ...error.facts },
  };
  const details: ErrorDetail[] = [{ desc: ErrorInfoSchema, value: create(ErrorInfoSchema, info) }];
  if (error.violation) {
    const fieldViolations = [{ field: error.violation.field, description: error.message }];
    details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  }
  if (error.code === "overloaded") {
    const retryDelay = { seconds: BigInt(RETRY_AFTER) };
    details.push({ desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) });
  }
  return details;
}

/** The google.rpc.Status that gRPC carries in `grpc-status-details-bin`. */
export function encodeStatus(error: LatchkeyError): Uint8Array {
  const details = errorDetails(error).map(({ desc, value }) => anyPack(desc, create(desc, value)));
  const { message } = error;
  return toBinary(
    StatusSchema,
    create(StatusSchema, { code: STATUS[error.code].grpc, message, details }),
  );
}
