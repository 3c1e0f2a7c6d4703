import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/ts/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/ts/google/rpc/status_pb.js";
import type { LatchkeyError } from "../domain/error.js";
import { STATUS } from "./status.js";

/** A message that explains an error, as schema and content. */
export interface ErrorDetail {
  readonly desc: DescMessage;
  readonly value: MessageInitShape<DescMessage>;
}

/** ErrorInfo for every error, and BadRequest where one field is to blame. */
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
