import type { MessageShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { SessionService } from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { then } from "../domain/awaitable.js";
import { invalid } from "../domain/error.js";
import type { SessionName, Sessions } from "../services/sessions.js";
import { toMessage, toPositive, toSeconds } from "./messages.js";
import type { Rpcs } from "./rpcs.js";

/** SessionService as the wires see it: messages to use cases and back. */
export function createSessionRpcs(sessions: Sessions): Rpcs<typeof SessionService> {
  return {
    async createSession(request) {
      const { app, userId, ip, userAgent, data = {} } = request;
      const { token, session } = await sessions.create({
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

    getSession({ app, token, peek }) {
      return peek
        ? then(sessions.peek(app, token), (session) => ({ session: toMessage(session) }))
        : then(sessions.touch(app, token), ({ after }) => ({ session: toMessage(after) }));
    },

    async updateSession({ app, token, data = {}, expectedVersion }) {
      const { after } = await sessions.update({
        app,
        token,
        data,
        ...(expectedVersion === undefined
          ? {}
          : { expectedVersion: toPositive("expected_version", expectedVersion) }),
      });
      return { session: toMessage(after) };
    },

    async extendSession({ app, token, idleTtl, absoluteTtl }) {
      const session = await sessions.extend({
        app,
        token,
        ...optionalSeconds("idle_ttl", "idleTtl", idleTtl),
        ...optionalSeconds("absolute_ttl", "absoluteTtl", absoluteTtl),
      });
      return { session: toMessage(session) };
    },

    async deleteSession({ app, target }) {
      await sessions.delete(app, targetOf(target));
      return {};
    },

    async deleteUserSessions({ app, userId, keep }) {
      const deleted = await sessions.deleteUser(app, userId, keptOf(keep));
      return { deletedCount: BigInt(deleted) };
    },

    async deleteAppSessions({ app }, { cancelled }) {
      return { deletedCount: BigInt(await sessions.deleteApp(app, cancelled)) };
    },

    async listSessions({ app, activeWithin, pageSize, pageToken }) {
      const page = await sessions.list({
        app,
        pageSize,
        pageToken,
        ...optionalSeconds("active_within", "activeWithin", activeWithin),
      });
      return { sessions: page.sessions.map(toMessage), nextPageToken: page.nextPageToken };
    },

    async listUserSessions({ app, userId, pageSize, pageToken }) {
      const page = await sessions.list({ app, userId, pageSize, pageToken });
      return { sessions: page.sessions.map(toMessage), nextPageToken: page.nextPageToken };
    },

    async countActiveUsers({ app, activeWithin }) {
      if (!activeWithin) throw invalid("active_within", "missing", "active_within is required");
      const within = toSeconds("active_within", activeWithin);
      return { userCount: BigInt(await sessions.countActiveUsers(app, within)) };
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
