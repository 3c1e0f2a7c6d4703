import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  WatchSessionsRequest,
  WatchSessionsResponseSchema,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import {
  EndReason,
  type SessionEventSchema,
  SessionEventType,
} from "../../../gen/ts/latchkey/session/v1/watch_pb.js";
import { invalid } from "../../domain/error.js";
import type { EndReason as DomainEndReason } from "../../domain/sessions/end-reason.js";
import type {
  SessionEventType as DomainEventType,
  SessionEvent,
} from "../../domain/sessions/session-event.js";
import type { WatchAnswer, WatchRequest } from "../../services/watches/watch-request.js";
import { toMessage, toTimestamp } from "./messages.js";

const TYPES: Readonly<Record<DomainEventType, SessionEventType>> = {
  created: SessionEventType.CREATED,
  updated: SessionEventType.UPDATED,
  touched: SessionEventType.TOUCHED,
  rotated: SessionEventType.ROTATED,
  ended: SessionEventType.ENDED,
};

const END_REASONS: Readonly<Record<DomainEndReason, EndReason>> = {
  deleted: EndReason.DELETED,
  user: EndReason.USER,
  app: EndReason.APP,
  idle: EndReason.IDLE,
  absolute: EndReason.ABSOLUTE,
  evicted: EndReason.EVICTED,
  theft: EndReason.THEFT,
};

/** What a request asks to watch; throws `invalid` if it cannot be resumed from what it names. */
export function toWatchRequest(request: WatchSessionsRequest): WatchRequest {
  const { app, userId, resumeRevision, includeTouches } = request;
  return {
    app,
    userId,
    includeTouches,
    ...(resumeRevision === undefined ? {} : { resumeRevision: toRevision(resumeRevision) }),
  };
}

function toRevision(value: bigint): number {
  if (value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw invalid(
    "resume_revision",
    "value",
    "resume_revision must be the revision of a response of WatchSessions",
  );
}

type WatchMessage = MessageInitShape<typeof WatchSessionsResponseSchema>;

/** The message of an answer. */
export function toWatchMessage(answer: WatchAnswer): WatchMessage {
  return { revision: BigInt(answer.revision), content: contentOf(answer) };
}

function contentOf(answer: WatchAnswer): NonNullable<WatchMessage["content"]> {
  switch (answer.type) {
    case "snapshot":
      return { case: "snapshot", value: { sessions: answer.sessions.map(toMessage) } };
    case "snapshotEnd":
      return { case: "snapshotEnd", value: {} };
    case "events":
      return { case: "events", value: { events: answer.events.map(toEventMessage) } };
    case "progress":
      return { case: "progress", value: {} };
    case "reset":
      return { case: "reset", value: {} };
  }
}

function toEventMessage(event: SessionEvent): MessageInitShape<typeof SessionEventSchema> {
  const { revision, type, sessionId, userId, version, occurredAt, endReason } = event;
  return {
    revision: BigInt(revision),
    type: TYPES[type],
    sessionId,
    userId,
    version: BigInt(version),
    occurredAt: toTimestamp(occurredAt),
    endReason: endReason === null ? EndReason.UNSPECIFIED : END_REASONS[endReason],
  };
}
