import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Session, SessionSchema } from "../../gen/ts/latchkey/session/v1/session_pb.js";

const IDLE_MS = 7_200_000;

/** A session as Latchkey would answer it, without what its creation is told. */
export function createSampleSession(): Session {
  const now = Date.now();
  return create(SessionSchema, {
    sessionId: "0198c0de-0000-7000-8000-000000000000",
    reads: 1n,
    writes: 1n,
    version: 1n,
    createdAt: timestampFromMs(now),
    lastAccessedAt: timestampFromMs(now),
    idleTtl: durationFromMs(IDLE_MS),
    expiresAt: timestampFromMs(now + IDLE_MS),
  });
}
