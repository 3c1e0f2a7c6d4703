import { status } from "@grpc/grpc-js";
import type { ErrorCode } from "../../domain/error.js";

/** How one error code appears on each wire. */
export interface WireStatus {
  /** The number that gRPC, gRPC-Web and Connect share. */
  readonly grpc: status;
  readonly http: number;
}

/** The one table from error codes to wire statuses. */
export const STATUS = {
  invalid: { grpc: status.INVALID_ARGUMENT, http: 400 },
  unauthenticated: { grpc: status.UNAUTHENTICATED, http: 401 },
  forbidden: { grpc: status.PERMISSION_DENIED, http: 403 },
  not_found: { grpc: status.NOT_FOUND, http: 404 },
  exists: { grpc: status.ALREADY_EXISTS, http: 409 },
  version_mismatch: { grpc: status.ABORTED, http: 409 },
  limit: { grpc: status.RESOURCE_EXHAUSTED, http: 429 },
  overloaded: { grpc: status.RESOURCE_EXHAUSTED, http: 503 },
  unavailable: { grpc: status.UNAVAILABLE, http: 503 },
  internal: { grpc: status.INTERNAL, http: 500 },
} as const satisfies Record<ErrorCode, WireStatus>;
