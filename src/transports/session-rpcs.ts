import { create, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import {
  BatchGetSessionsResponseSchema,
  BatchGetSessionsResultSchema,
  DataMerge,
  type SessionService,
} from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { then } from "../domain/awaitable.js";
import { invalid, LatchkeyError } from "../domain/error.js";
import type { Authorization } from "../services/authorization.js";
import type { BatchResult } from "../services/batch.js";
import type { Callers } from "../services/callers.js";
import type { Devices } from "../services/devices.js";
import type {
  ListAnswer,
  DataMerge as MergeName,
  SessionName,
} from "../services/session-requests.js";
import { encodedItems } from "./encoded-items.js";
import {
  optionalSeconds,
  toCallerMessage,
  toItemError,
  toMessage,
  toPositive,
  toSeconds,
  toTimestamp,
} from "./messages.js";
import { toPolicyMessage, toPolicyRequest } from "./policy-messages.js";
import type { Rpcs } from "./rpcs.js";
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

  /** What a list's answer has in common. */
  const toList = ({ sessions, nextPageToken, currentId }: ListAnswer) => ({
    sessions: sessions.map((session) => ({
      ...toMessage(session),
      isCurrent: session.id === currentId,
      device: devices.nameOf(session.userAgent),
    })),
    nextPageToken,
  });

  return {
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
        ? then(sessions.peek(app, token, seen), (session) => ({ session: toMessage(session) }))
        : then(sessions.touch(app, token, seen), ({ after }) => ({ session: toMessage(after) }));
    },

    async batchGetSessions({ app, tokens, peek }, { caller, isJson = false }) {
      const request = { app, tokens, peek };
      const { batch } = sessionsOf(caller);
      if (isJson) {
        const results = await batch(request, (result) =>
          create(BatchGetSessionsResultSchema, toBatchResult(result)),
        );
        return { results };
      }
      // Each in its turn: all at once would hold the event loop for a tenth of a second.
      const items = await batch(request, (result) =>
        toBinary(
          BatchGetSessionsResultSchema,
          create(BatchGetSessionsResultSchema, toBatchResult(result)),
        ),
      );
      const { number } = BatchGetSessionsResponseSchema.field.results;
      return encodedItems(BatchGetSessionsResponseSchema, number, items);
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

    async listSessions(request, { cancelled, caller }) {
      const { app, activeWithin, pageSize, pageToken, currentToken } = request;
      const within = optionalSeconds("active_within", "activeWithin", activeWithin);
      const asked = { app, pageSize, pageToken, currentToken, ...within };
      return toList(await sessionsOf(caller).list(asked, { cancelled }));
    },

    async listUserSessions(request, { cancelled, caller }) {
      const { app, userId, pageSize, pageToken, currentToken } = request;
      const asked = { app, userId, pageSize, pageToken, currentToken };
      return toList(await sessionsOf(caller).list(asked, { cancelled }));
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

function toBatchResult(result: BatchResult): MessageInitShape<typeof BatchGetSessionsResultSchema> {
  return result instanceof LatchkeyError
    ? { result: { case: "error", value: toItemError(result) } }
    : { result: { case: "session", value: toMessage(result) } };
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
