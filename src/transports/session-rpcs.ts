import type { MessageShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { SessionService } from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { then } from "../domain/awaitable.js";
import { invalid } from "../domain/error.js";
import type { Authorization } from "../services/authorization.js";
import type { Callers } from "../services/callers.js";
import type { SessionName } from "../services/sessions.js";
import { toCallerMessage, toMessage, toPositive, toSeconds } from "./messages.js";
import type { Rpcs } from "./rpcs.js";
import { toWatchMessage, toWatchRequest } from "./watch-messages.js";

export interface SessionRpcsOptions {
  readonly sessionsOf: Authorization["sessionsOf"];
  readonly watchOf: Authorization["watchOf"];
  readonly callers: Callers;
}

/** SessionService as the wires see it: messages to use cases and back. */
export function createSessionRpcs(options: SessionRpcsOptions): Rpcs<typeof SessionService> {
  const { sessionsOf, watchOf, callers } = options;
  return {
    async createSession(request, { caller }) {
      const { app, userId, ip, userAgent, data = {} } = request;
      const { token, session } = await sessionsOf(caller).create({
        app,
        userId,
        ip,
        userAgent,
        data,
        ...optionalSeconds("idle_ttl", "idleTtl", request.idleTtl),
        ...optionalSeconds("absolute_ttl", "absoluteTtl", request.absoluteTtl),
      });
      return { token, session: toMessage(session) };
    },

    getSession({ app, token, peek }, { caller }) {
      const sessions = sessionsOf(caller);
      return peek
        ? then(sessions.peek(app, token), (session) => ({ session: toMessage(session) }))
        : then(sessions.touch(app, token), ({ after }) => ({ session: toMessage(after) }));
    },

    async updateSession({ app, token, data = {}, expectedVersion }, { caller }) {
      const { after } = await sessionsOf(caller).update({
        app,
        token,
        data,
        ...(expectedVersion === undefined
          ? {}
          : { expectedVersion: toPositive("expected_version", expectedVersion) }),
      });
      return { session: toMessage(after) };
    },

    async extendSession({ app, token, idleTtl, absoluteTtl }, { caller }) {
      const session = await sessionsOf(caller).extend({
        app,
        token,
        ...optionalSeconds("idle_ttl", "idleTtl", idleTtl),
        ...optionalSeconds("absolute_ttl", "absoluteTtl", absoluteTtl),
      });
      return { session: toMessage(session) };
    },

    async deleteSession({ app, target }, { caller }) {
      await sessionsOf(caller).delete(app, targetOf(target));
      return {};
    },

    async deleteUserSessions({ app, userId, keep }, { caller }) {
      const deleted = await sessionsOf(caller).deleteUser(app, userId, keptOf(keep));
      return { deletedCount: BigInt(deleted) };
    },

    async deleteAppSessions({ app }, { cancelled, caller }) {
      return { deletedCount: BigInt(await sessionsOf(caller).deleteApp(app, cancelled)) };
    },

    async listSessions({ app, activeWithin, pageSize, pageToken }, { caller }) {
      const page = await sessionsOf(caller).list({
        app,
        pageSize,
        pageToken,
        ...optionalSeconds("active_within", "activeWithin", activeWithin),
      });
      return { sessions: page.sessions.map(toMessage), nextPageToken: page.nextPageToken };
    },

    async listUserSessions({ app, userId, pageSize, pageToken }, { caller }) {
      const page = await sessionsOf(caller).list({ app, userId, pageSize, pageToken });
      return { sessions: page.sessions.map(toMessage), nextPageToken: page.nextPageToken };
    },

    async countActiveUsers({ app, activeWithin }, { caller }) {
      if (!activeWithin) throw invalid("active_within", "missing", "active_within is required");
      const within = toSeconds("active_within", activeWithin);
      return { userCount: BigInt(await sessionsOf(caller).countActiveUsers(app, within)) };
    },

    async *watchSessions(request, { caller, signal }) {
      for await (const answer of watchOf(caller, toWatchRequest(request), signal)) {
        yield toWatchMessage(answer);
      }
    },

    getCurrentSession: (_request, { caller }) => ({
      session: toCallerMessage(callers.current(caller)),
    }),

    listCallers({ pageSize, pageToken }, { caller }) {
      const page = callers.list(caller, pageSize, pageToken);
      return { callers: page.callers.map(toCallerMessage), nextPageToken: page.nextPageToken };
    },
  };
}

/** `{ [key]: seconds }` if the duration is set, else nothing. */
function optionalSeconds<K extends string>(
  field: string,
  key: K,
  duration: Duration | undefined,
): { [P in K]?: number } {
  if (!duration) return {};
  return { [key]: toSeconds(field, duration) } as { [P in K]?: number };
}

type Request<K extends keyof typeof SessionService.method> = MessageShape<
  (typeof SessionService.method)[K]["input"]
>;

function targetOf(target: Request<"deleteSession">["target"]): SessionName {
  switch (target.case) {
    case "token":
      return { token: target.value };
    case "sessionId":
      return { sessionId: target.value };
    default:
      throw invalid("target", "missing", "token or session_id is required");
  }
}

function keptOf(keep: Request<"deleteUserSessions">["keep"]): SessionName | undefined {
  switch (keep.case) {
    case "keepToken":
      return { token: keep.value };
    case "keepSessionId":
      return { sessionId: keep.value };
    default:
      return undefined;
  }
}
