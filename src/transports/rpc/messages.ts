import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  type CallerSessionSchema,
  Listener,
  Role,
} from "../../../gen/ts/latchkey/session/v1/caller_session_pb.js";
import type { SessionSchema } from "../../../gen/ts/latchkey/session/v1/session_pb.js";
import type { ItemErrorSchema } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { invalid, type LatchkeyError } from "../../domain/error.js";
import { expiresAt, type Session } from "../../domain/sessions/session.js";
import type { CallerSession } from "../../services/access/connections.js";

/** The message of a session. */
export function toMessage(session: Session): MessageInitShape<typeof SessionSchema> {
  return {
    sessionId: session.id,
    app: session.app,
    userId: session.userId,
    ip: session.ip,
    userAgent: session.userAgent,
    data: session.data,
    reads: BigInt(session.reads),
    writes: BigInt(session.writes),
    version: BigInt(session.version),
    createdAt: toTimestamp(session.createdAt),
    lastAccessedAt: toTimestamp(session.lastAccessedAt),
    idleTtl: { seconds: BigInt(session.idleTtl / 1000) },
    expiresAt: toTimestamp(expiresAt(session)),
    ...(session.absoluteExpiresAt === null
      ? {}
      : { absoluteExpiresAt: toTimestamp(session.absoluteExpiresAt) }),
  };
}

const ROLES = { Admin: Role.ADMIN, User: Role.USER };
const LISTENERS = { grpc: Listener.GRPC, http: Listener.HTTP, command: Listener.COMMAND };

/** The message of a caller's session. */
export function toCallerMessage(
  session: CallerSession,
): MessageInitShape<typeof CallerSessionSchema> {
  return {
    sessionId: session.id,
    account: session.account.name,
    role: ROLES[session.account.role],
    address: session.address,
    listener: LISTENERS[session.transport],
    createdAt: toTimestamp(session.createdAt),
    lastAccessedAt: toTimestamp(session.lastAccessedAt),
  };
}

/** The message of why one item of a batch failed. */
export function toItemError({
  code,
  message,
}: LatchkeyError): MessageInitShape<typeof ItemErrorSchema> {
  return { reason: code.toUpperCase(), message };
}

/** The message of an instant, in milliseconds since 1970. */
export function toTimestamp(milliseconds: number) {
  const seconds = Math.floor(milliseconds / 1000);
  // Never negative, also before 1970.
  return { seconds: BigInt(seconds), nanos: (milliseconds - seconds * 1000) * 1_000_000 };
}

/** A duration's seconds; throws `invalid` naming `field` if it is not whole. */
export function toSeconds(field: string, duration: Duration): number {
  if (duration.nanos === 0) return Number(duration.seconds);
  throw invalid(field, "value", `${field} must be a whole number of seconds`);
}

/** `{ [key]: seconds }` if the duration is set, else nothing. */
export function optionalSeconds<K extends string>(
  field: string,
  key: K,
  duration: Duration | undefined,
): { [P in K]?: number } {
  if (!duration) return {};
  return { [key]: toSeconds(field, duration) } as { [P in K]?: number };
}

/** A number of a request; throws `invalid` naming `field` if it is not positive. */
export function toPositive(field: string, value: bigint): number {
  if (value > 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw invalid(field, "value", `${field} must be at least 1`);
}
