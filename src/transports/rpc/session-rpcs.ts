import type { MessageShape } from "@bufbuild/protobuf";
import {
  DataMerge,
  type SessionService,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { invalid } from "../../domain/error.js";
import { chain } from "../../lib/maybe-promise.js";
import type { Authorization } from "../../services/access/authorization.js";
import type { Callers } from "../../services/access/callers.js";
import type { Devices } from "../../services/sessions/devices.js";
import type { DataMerge as MergeName, SessionName } from "../../services/sessions/requests.js";
import {
  optionalSeconds,
  toCallerMessage,
  toMessage,
  toPositive,
  toSeconds,
  toTimestamp,
} from "./messages.js";
import { toPolicyMessage, toPolicyRequest } from "./policy-messages.js";
import type { Rpcs } from "./rpcs.js";
import { createSessionLists } from "./session-lists.js";
import { toWatchMessage, toWatchRequest } from "./watch-messages.js";

export interface SessionRpcsOptions {
  readonly sessionsOf: Authorization["sessionsOf"];
  readonly watchOf: Authorization["watchOf"];
  readonly callers: Callers;
  readonly devices: Devices;
}

/** SessionService as the wires see it: messages to use cases and back. */
export function createSessionRpcs(options: SessionRpcsOptions): Rpcs<typeof SessionService> {
  const { sessionsOf, watchOf, callers, devices } = options;

  return {
    ...createSessionLists({ sessionsOf, devices }),

    async createSession(request, { caller }) {
      const { app, userId, ip, userAgent, data = {}, requestId } = request;
      const brought = request.token === "" ? {} : { token: request.token };
      const { token, session } = await sessionsOf(caller).create({
        app,
        userId,
        ip,
        userAgent,
        data,
        requestId,
        ...brought,
        ...optionalSeconds("idle_ttl", "idleTtl", request.idleTtl),
        ...optionalSeconds("absolute_ttl", "absoluteTtl", request.absoluteTtl),
      });
      return { token, session: toMessage(session) };
    },

    getSession({ app, token, peek, ip, userAgent }, { caller }) {
      const sessions = sessionsOf(caller);
      const seen = ip === "" && userAgent === "" ? undefined : { ip, userAgent };
      return peek
        ? chain(sessions.peek(app, token, seen), (session) => ({ session: toMessage(session) }))
        : chain(sessions.touch(app, token, seen), ({ after }) => ({ session: toMessage(after) }));
    },

    async updateSession(request, { caller }) {
      const { app, token, data = {}, merge, expectedVersion, requestId } = request;
      const { after } = await sessionsOf(caller).update({
        app,
        token,
        data,
        merge: toMergeName(merge),
        requestId,
        ...optionalVersion(expectedVersion),
      });
      return { session: toMessage(after) };
    },

    async extendSession(request, { caller }) {
      const { app, token, idleTtl, absoluteTtl, expectedVersion, requestId } = request;
      const session = await sessionsOf(caller).extend({
        app,
        token,
        requestId,
        ...optionalSeconds("idle_ttl", "idleTtl", idleTtl),
        ...optionalSeconds("absolute_ttl", "absoluteTtl", absoluteTtl),
        ...optionalVersion(expectedVersion),
      });
      return { session: toMessage(session) };
    },

    async rotateToken(request, { caller }) {
      const { app, token, grace, expectedVersion, requestId } = request;
      const rotated = await sessionsOf(caller).rotate({
        app,
        token,
        requestId,
        ...(request.assumeReceived ? { assumeReceived: true } : {}),
        ...optionalSeconds("grace", "grace", grace),
        ...optionalVersion(expectedVersion),
      });
      return {
        token: rotated.token,
        session: toMessage(rotated.session),
        graceEndsAt: toTimestamp(rotated.graceEndsAt),
      };
    },

    async deleteSession({ app, target, allowMissing, expectedVersion, requestId }, { caller }) {
      const options = { allowMissing, requestId, ...optionalVersion(expectedVersion) };
      await sessionsOf(caller).delete(app, targetOf(target), options);
      return {};
    },

    async deleteUserSessions({ app, userId, keep, allowMissing, requestId }, { caller }) {
      const options = { allowMissing, requestId };
      const deleted = await sessionsOf(caller).deleteUser(app, userId, keptOf(keep), options);
      return { deletedCount: BigInt(deleted) };
    },

    async deleteAppSessions({ app, requestId }, { cancelled, caller }) {
      const deleted = await sessionsOf(caller).deleteApp(app, cancelled, requestId);
      return { deletedCount: BigInt(deleted) };
    },

    async countActiveUsers({ app, activeWithin }, { cancelled, caller }) {
      if (!activeWithin) throw invalid("active_within", "missing", "active_within is required");
      const within = toSeconds("active_within", activeWithin);
      const count = await sessionsOf(caller).countActiveUsers(app, within, { cancelled });
      return { userCount: BigInt(count) };
    },

    getAppPolicy({ app }, { caller }) {
      return { policy: toPolicyMessage(sessionsOf(caller).getPolicy(app)) };
    },

    async setAppPolicy({ app, policy }, { caller }) {
      if (!policy) throw invalid("policy", "missing", "policy is required");
      const set = await sessionsOf(caller).setPolicy(app, toPolicyRequest(policy));
      return { policy: toPolicyMessage(set) };
    },

    watchSessions: (request, call) =>
      mapEach(watchOf(call.caller, toWatchRequest(request), call), toWatchMessage),

    getCurrentSession: (_request, { caller }) => ({
      session: toCallerMessage(callers.current(caller)),
    }),

    listCallers({ pageSize, pageToken }, { caller }) {
      const page = callers.list(caller, pageSize, pageToken);
      return { callers: page.callers.map(toCallerMessage), nextPageToken: page.nextPageToken };
    },
  };
}

/** What `map` makes of each, of which nothing is kept: a generator would until it is asked again. */
function mapEach<T, U>(given: AsyncGenerator<T>, map: (value: T) => U): AsyncIterable<U> {
  const mapped = ({ done, value }: IteratorResult<T>): IteratorResult<U> =>
    done ? { done, value } : { done: false, value: map(value) };
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => given.next().then(mapped),
      return: () => given.return(undefined).then(mapped),
    }),
  };
}

/** `{ expectedVersion }` if one is expected, else nothing. */
function optionalVersion(version: bigint | undefined): { expectedVersion?: number } {
  return version === undefined ? {} : { expectedVersion: toPositive("expected_version", version) };
}

function toMergeName(merge: DataMerge): MergeName {
  switch (merge) {
    case DataMerge.UNSPECIFIED:
    case DataMerge.FLAT:
      return "flat";
    case DataMerge.PATCH:
      return "patch";
    default:
      throw invalid("merge", "value", "merge must be DATA_MERGE_FLAT or DATA_MERGE_PATCH");
  }
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
