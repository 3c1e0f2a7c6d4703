import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { SessionSchema } from "../../../gen/ts/latchkey/session/v1/session_pb.js";
import {
  BatchGetSessionsResponseSchema as BatchSchema,
  BatchGetSessionsResultSchema as ResultSchema,
  type SessionService,
  ListSessionsResponseSchema as SessionsSchema,
  ListUserSessionsResponseSchema as UserSessionsSchema,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { LatchkeyError } from "../../domain/error.js";
import type { Session } from "../../domain/sessions/session.js";
import type { Authorization } from "../../services/access/authorization.js";
import type { BatchResult } from "../../services/sessions/batch.js";
import type { Devices } from "../../services/sessions/devices.js";
import type { ListRequest } from "../../services/sessions/requests.js";
import { withEncoded } from "./encoded-items.js";
import { optionalSeconds, toItemError, toMessage } from "./messages.js";
import type { RpcCall, Rpcs } from "./rpcs.js";

export interface SessionListsOptions {
  readonly sessionsOf: Authorization["sessionsOf"];
  readonly devices: Devices;
}

/**
 * The RPCs that answer many sessions. Each session is encoded in the turn that reads it: all at once
 * would hold the event loop for a tenth of a second. JSON takes less, and is written at the end.
 */
export function createSessionLists({
  sessionsOf,
  devices,
}: SessionListsOptions): Pick<
  Rpcs<typeof SessionService>,
  "batchGetSessions" | "listSessions" | "listUserSessions"
> {
  const toListed = (session: Session, isCurrent: boolean) =>
    create(SessionSchema, {
      ...toMessage(session),
      isCurrent,
      device: devices.nameOf(session.userAgent),
    });

  /** A page, of which the sessions are messages or encoded, as the answer needs them. */
  const readList = async (request: ListRequest, call: RpcCall) => {
    const { cancelled, caller, isJson = false } = call;
    const { list } = sessionsOf(caller);
    if (isJson) {
      const { sessions, nextPageToken } = await list(request, toListed, { cancelled });
      return { init: { sessions: [...sessions], nextPageToken }, encoded: [] };
    }
    const encode = (session: Session, isCurrent: boolean) =>
      toBinary(SessionSchema, toListed(session, isCurrent));
    const { sessions: encoded, nextPageToken } = await list(request, encode, { cancelled });
    return { init: { nextPageToken }, encoded };
  };

  return {
    async batchGetSessions({ app, tokens, peek }, { caller, isJson = false }) {
      const request = { app, tokens, peek };
      const { batch } = sessionsOf(caller);
      const toResult = (result: BatchResult) => create(ResultSchema, initOfResult(result));
      if (isJson) return { results: await batch(request, toResult) };
      const encoded = await batch(request, (one) => toBinary(ResultSchema, toResult(one)));
      return withEncoded(BatchSchema, {}, BatchSchema.field.results, encoded);
    },

    async listSessions(request, call) {
      const { app, activeWithin, pageSize, pageToken, currentToken } = request;
      const within = optionalSeconds("active_within", "activeWithin", activeWithin);
      const asked = { app, pageSize, pageToken, currentToken, ...within };
      const { init, encoded } = await readList(asked, call);
      return withEncoded(SessionsSchema, init, SessionsSchema.field.sessions, encoded);
    },

    async listUserSessions(request, call) {
      const { app, userId, pageSize, pageToken, currentToken } = request;
      const asked = { app, userId, pageSize, pageToken, currentToken };
      const { init, encoded } = await readList(asked, call);
      return withEncoded(UserSessionsSchema, init, UserSessionsSchema.field.sessions, encoded);
    },
  };
}

function initOfResult(result: BatchResult): MessageInitShape<typeof ResultSchema> {
  return result instanceof LatchkeyError
    ? { result: { case: "error", value: toItemError(result) } }
    : { result: { case: "session", value: toMessage(result) } };
}
