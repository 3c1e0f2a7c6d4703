import assert from "node:assert/strict";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../../gen/ts/google/rpc/error_details_pb.js";
import type { Session } from "../../../gen/ts/latchkey/session/v1/session_pb.js";
import type {
  CreateSessionRequestSchema,
  SessionService,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import type { RawWire } from "./raw.js";
import type { Clock } from "./server.js";
import type { WireName } from "./wires.js";

/** What a case works with. */
export interface Trial {
  readonly client: Client<typeof SessionService>;
  readonly raw: RawWire;
  /** An app that no other case uses. */
  readonly app: string;
  readonly clock: Clock;
  /** Creates a session, ann's if not told otherwise. */
  add(request?: MessageInitShape<typeof CreateSessionRequestSchema>): Promise<Added>;
}

/** A session as its creation answered it. */
export interface Added {
  readonly token: string;
  readonly session: Session;
}

/** How a call is refused. */
export interface Refusal {
  readonly code: Code;
  /** Of ErrorInfo; absent where the wire itself refuses. */
  readonly reason?: string;
  /** What BadRequest blames; absent if it is no one field. */
  readonly field?: string;
}

export const NOT_FOUND: Refusal = { code: Code.NotFound, reason: "NOT_FOUND" };
export const VERSION_MISMATCH: Refusal = { code: Code.Aborted, reason: "VERSION_MISMATCH" };
export const invalid = (field?: string): Refusal => ({
  code: Code.InvalidArgument,
  reason: "INVALID",
  ...(field === undefined ? {} : { field }),
});

/** One behaviour of SessionService, the same on every wire. */
export type Case = {
  readonly title: string;
  /** The only wires that can be sent such a request; every wire if absent. */
  readonly wires?: readonly WireName[];
  /** Whether the call is refused before it gets to a store, so that one store is enough. */
  readonly storeless?: boolean;
} & (
  | { holds(trial: Trial): Promise<void> }
  | { send(trial: Trial): Promise<unknown>; readonly refused: Refusal }
);

/** Runs a case. */
export async function runCase(one: Case, trial: Trial): Promise<void> {
  if ("holds" in one) await one.holds(trial);
  else await assertRefused(one.send(trial), one.refused);
}

/** Asserts that a call fails in this way and in no other. */
export async function assertRefused(
  call: Promise<unknown>,
  { code, reason, field }: Refusal,
  what = "the call",
): Promise<void> {
  const error = await call.then(
    () => assert.fail(`${what} was answered`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConnectError)) throw error;
  assert.equal(Code[error.code], Code[code], `${what}: ${error.rawMessage}`);
  assert.notEqual(error.rawMessage, "");
  if (reason === undefined) return;
  const infos = error.findDetails(ErrorInfoSchema);
  assert.deepEqual(
    infos.map((info) => ({ reason: info.reason, domain: info.domain })),
    [{ reason, domain: "latchkey" }],
    what,
  );
  const blamed = error
    .findDetails(BadRequestSchema)
    .flatMap(({ fieldViolations }) => fieldViolations.map((violation) => violation.field));
  assert.deepEqual(blamed, field === undefined ? [] : [field], what);
}

/** A session message in plain numbers: instants in milliseconds, durations in seconds. */
export function plain(session: Session | undefined) {
  assert.ok(session, "the answer has no session");
  const { sessionId, app, userId, ip, userAgent, data, absoluteExpiresAt, idleTtl } = session;
  return {
    sessionId,
    app,
    userId,
    ip,
    userAgent,
    data,
    reads: Number(session.reads),
    writes: Number(session.writes),
    version: Number(session.version),
    createdAt: instant(session.createdAt),
    lastAccessedAt: instant(session.lastAccessedAt),
    idleTtl: wholeSeconds(idleTtl),
    expiresAt: instant(session.expiresAt),
    absoluteExpiresAt: absoluteExpiresAt ? timestampMs(absoluteExpiresAt) : null,
  };
}

function instant(timestamp: Session["createdAt"]): number {
  assert.ok(timestamp, "a timestamp is missing");
  return timestampMs(timestamp);
}

function wholeSeconds(duration: Session["idleTtl"]): number {
  assert.ok(duration, "a duration is missing");
  assert.equal(duration.nanos, 0);
  return Number(duration.seconds);
}

/** A duration message. */
export const seconds = (whole: number, nanos = 0) => ({ seconds: BigInt(whole), nanos });

/** The ids of a list. */
export const idsOf = (sessions: readonly Session[]): string[] =>
  sessions.map(({ sessionId }) => sessionId);
