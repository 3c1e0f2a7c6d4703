import type { Logger } from "pino";
import { invalid, LatchkeyError, noSession, overloaded } from "../../domain/error.js";
import {
  checkApp,
  checkData,
  checkGrace,
  checkIp,
  checkPageSize,
  checkSeconds,
  checkSessionId,
  checkToken,
  checkUserAgent,
  checkUserId,
  LIMITS,
} from "../../domain/limits.js";
import {
  checkCallerTokens,
  checkDeadline,
  checkIdleTtl,
} from "../../domain/sessions/app-policy.js";
import type { Seen } from "../../domain/sessions/binding.js";
import { type Session, type SessionChange, touched } from "../../domain/sessions/session.js";
import type { ListQuery, SessionKey, SessionStore } from "../../domain/sessions/session-store.js";
import { hashToken, type TokenHash } from "../../domain/token.js";
import { mergeJson, mergePatch } from "../../lib/json.js";
import { chain, type MaybePromise } from "../../lib/maybe-promise.js";
import type { RandomBytes } from "../../lib/random.js";
import type { TakeTurn } from "../turns.js";
import { createWorkLimits } from "../work-limit.js";
import { createAppPolicies, lifetimeOf } from "./app-policies.js";
import { type BatchRequest, type BatchResult, readBatch, sessionBytes } from "./batch.js";
import { createBindings } from "./bindings.js";
import { broughtToken, createToken, readIdempotencyKey } from "./idempotency.js";
import { createPageTokens } from "./page-token.js";
import type {
  Asker,
  CreateRequest,
  DeleteOptions,
  DeleteUserOptions,
  ExtendRequest,
  ListAnswer,
  ListRequest,
  RotateAnswer,
  RotateRequest,
  SessionName,
  UpdateRequest,
  UseListed,
} from "./requests.js";

export interface SessionsOptions {
  readonly store: SessionStore;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly randomBytes: RandomBytes;
  /** A new UUID (version 7) for the given instant, in lower case. */
  readonly newSessionId: (now: number) => string;
  /** Gets a line where a session is not used as its app's policy wants. */
  readonly logger: Pick<Logger, "warn">;
  /** When the pieces of what takes long are done; if absent, at once. */
  readonly takeTurn?: TakeTurn;
}

/** What one turn of a listing reads and makes ready, and of how many turns a page is made at most. */
const PIECE = { sessions: 100, bytes: 131_072, most: 64 };

/** Batches of a caller that are read at a time, each of which gathers some MiB, and that wait. */
const BATCHES = { running: 4, waiting: 1_024 };

export type Sessions = ReturnType<typeof createSessions>;

/**
 * The use cases of app sessions. Every method checks its input, and rejects with
 * `invalid` naming the field (as the .proto files call it) before anything
 * happens (reads throw it); those that need a session reject with `not_found` if the app has no
 * live one of that name, and the `theft` if that ended it. Those that may have a request id
 * reject with `exists` if it was another request's. Storage failures reject with `unavailable`.
 */
export function createSessions(options: SessionsOptions) {
  const { store, now, randomBytes, newSessionId, logger } = options;
  const { takeTurn = async (_, work) => work() } = options;
  const bindings = createBindings({ store, logger });
  const pageTokens = createPageTokens(randomBytes);
  const limitedBatches = createWorkLimits({ ...BATCHES, refusal: overloaded });

  /** Reads by a method of the store, once the session is held to what the policy binds it to. */
  const read = <T>(
    ask: (app: string, tokenHash: TokenHash, now: number) => MaybePromise<T | null>,
    app: string,
    token: string,
    seen: Seen | undefined,
  ): MaybePromise<T> => {
    checkApp(app);
    const tokenHash = hashChecked(token);
    const at = now();
    const enforcing = seen && bindings.enforce(app, tokenHash, at, seen);
    return enforcing
      ? enforcing.then(() => chain(ask(app, tokenHash, at), present))
      : chain(ask(app, tokenHash, at), present);
  };

  const touch = (app: string, token: string, seen?: Seen): MaybePromise<SessionChange> =>
    read(store.touch, app, token, seen);

  const peek = (app: string, token: string, seen?: Seen): MaybePromise<Session> =>
    read(store.peek, app, token, seen);

  /** A page read in pieces, none of which takes long. */
  const readPage = async <T>(
    app: string,
    at: number,
    { who = "", cancelled = () => false }: Asker,
    query: ListQuery,
    use: (session: Session) => T,
  ): Promise<{ readonly sessions: T[]; readonly next: number | null }> => {
    const sessions: T[] = [];
    let room = query.maxBytes;
    let messageRoom: number = LIMITS.batchBytes;
    let from = query;
    for (let piece = 1; ; piece++) {
      const limit = Math.min(PIECE.sessions, query.limit - sessions.length);
      const maxBytes = Math.min(PIECE.bytes, room);
      const part = await takeTurn(who, async () => {
        const listed = await store.list(app, at, { ...from, limit, maxBytes });
        for (const session of listed.sessions) {
          messageRoom -= sessionBytes(session);
          sessions.push(use(session));
        }
        return { bytes: listed.bytes, next: listed.next };
      });
      room -= part.bytes;
      const { next } = part;
      const isFull =
        sessions.length >= query.limit || room < 0 || messageRoom < 0 || piece === PIECE.most;
      if (next === null || isFull || cancelled()) return { sessions, next };
      from = { ...from, before: next };
    }
  };

  return {
    ...createAppPolicies(store),

    /**
     * Starts a session; its token is answered here and never again, but to the same request.
     * Rejects with `forbidden` if the app's policy takes no token of a caller, and with `exists` if
     * the one that the caller brings is taken.
     */
    async create(request: CreateRequest): Promise<{ token: string; session: Session }> {
      const { data = {} } = request;
      const createdAt = now();
      const app = checkApp(request.app);
      const policy = store.policy(app);
      const session: Session = {
        id: newSessionId(createdAt),
        app,
        userId: checkUserId(request.userId),
        ip: request.ip ? checkIp(request.ip) : "",
        userAgent: request.userAgent ? checkUserAgent(request.userAgent) : "",
        ...lifetimeOf(policy, request, createdAt),
        data: checkData(mergeJson({}, data)),
        reads: 1,
        writes: 1,
        version: 1,
        createdAt,
        lastAccessedAt: createdAt,
      };
      const idempotencyKey = readIdempotencyKey("CreateSession", request, createdAt);
      const brought = request.token === undefined ? undefined : checkToken(request.token);
      if (brought !== undefined) checkCallerTokens(app, policy);
      const { token, salt, again } =
        brought === undefined ? createToken(randomBytes, request.requestId) : broughtToken(brought);
      const origin = brought === undefined ? "server" : "caller";
      const created = await store.create(session, hashToken(token), idempotencyKey, salt, origin);
      return { token: again(created.salt), session: created.session };
    },

    /** Reads a session, counts the read and restarts the idle time. */
    touch,

    /** Reads a session and changes nothing. */
    peek,

    /** Reads sessions, each as `touch` or `peek` does; see `readBatch`. */
    async batch<T>(
      request: BatchRequest,
      use: (result: BatchResult) => T,
      { who = "" }: Asker = {},
    ): Promise<T[]> {
      const touched = (app: string, token: string) =>
        chain(touch(app, token), ({ after }) => after);
      const work = {
        ...{ read: request.peek ? peek : touched, use },
        takeTurn: <R>(piece: () => R) => takeTurn(who, piece),
      };
      return limitedBatches(who, () => readBatch(request, work));
    },

    /**
     * Merges `data` into the session's data. Rejects with `version_mismatch` if
     * a version is expected that the session does not have.
     */
    async update(request: UpdateRequest): Promise<SessionChange> {
      const { data, merge = "flat", expectedVersion } = request;
      checkApp(request.app);
      const tokenHash = hashChecked(request.token);
      if (Object.keys(data).length === 0) {
        throw invalid("data", "missing", "data must have at least one key");
      }
      // The merge below is checked as a whole; this keeps a deep one from it.
      checkData(data);
      const at = now();
      const apply = merge === "patch" ? mergePatch : mergeJson;
      const change = (session: Session): Session => {
        checkVersion(session, expectedVersion);
        return {
          ...session,
          data: checkData(apply(session.data, data)),
          writes: session.writes + 1,
          version: session.version + 1,
          lastAccessedAt: touched(session, at).lastAccessedAt,
        };
      };
      const idempotencyKey = readIdempotencyKey("UpdateSession", request, at);
      return (await store.update(request.app, tokenHash, at, change, idempotencyKey)) ?? absent();
    },

    /** Sets the limits of a session's life, counted from now. Rejects as `update`. */
    async extend(request: ExtendRequest): Promise<Session> {
      checkApp(request.app);
      const tokenHash = hashChecked(request.token);
      const at = now();
      const idleTtl =
        request.idleTtl === undefined ? undefined : checkSeconds("idle_ttl", request.idleTtl);
      const absoluteExpiresAt =
        request.absoluteTtl === undefined
          ? undefined
          : at + checkSeconds("absolute_ttl", request.absoluteTtl);
      if (idleTtl === undefined && absoluteExpiresAt === undefined) {
        throw invalid("idle_ttl", "missing", "idle_ttl or absolute_ttl is required");
      }
      const policy = store.policy(request.app);
      if (idleTtl !== undefined) checkIdleTtl(policy, idleTtl);
      const change = (session: Session): Session => {
        checkVersion(session, request.expectedVersion);
        return {
          ...session,
          idleTtl: idleTtl ?? session.idleTtl,
          absoluteExpiresAt:
            absoluteExpiresAt === undefined
              ? session.absoluteExpiresAt
              : checkDeadline(policy, session, absoluteExpiresAt),
          version: session.version + 1,
          lastAccessedAt: touched(session, at).lastAccessedAt,
        };
      };
      const idempotencyKey = readIdempotencyKey("ExtendSession", request, at);
      const changed = await store.update(request.app, tokenHash, at, change, idempotencyKey);
      return changed?.after ?? absent();
    },

    /**
     * Gives the session a new token, answered as that of `create`. Rejects with
     * `version_mismatch` as `update`, and if the token was rotated already, unless its grace is
     * over and nobody used the new one.
     */
    async rotate(request: RotateRequest): Promise<RotateAnswer> {
      const { app, expectedVersion, grace = LIMITS.graceDefault } = request;
      checkApp(app);
      const tokenHash = hashChecked(request.token);
      const at = now();
      const graceEndsAt = at + checkGrace(grace);
      const idempotencyKey = readIdempotencyKey("RotateToken", request, at);
      const { token, salt, again } = createToken(randomBytes, request.requestId);
      const change = (session: Session): Session => {
        checkVersion(session, expectedVersion);
        const { lastAccessedAt } = touched(session, at);
        return { ...session, version: session.version + 1, lastAccessedAt };
      };
      const isReceived = request.assumeReceived ?? false;
      const rotation = { to: hashToken(token), graceEndsAt, isReceived, salt, change };
      const rotated =
        (await store.rotate(app, tokenHash, at, rotation, idempotencyKey)) ?? absent();
      const { session } = rotated;
      return { token: again(rotated.salt), session, graceEndsAt: rotated.graceEndsAt };
    },

    /** Ends one session. Rejects as `update`. */
    async delete(app: string, name: SessionName, options: DeleteOptions = {}): Promise<void> {
      const { allowMissing = false, expectedVersion } = options;
      checkApp(app);
      const key = keyOf(name);
      const at = now();
      const ended = await store.delete(app, key, at, {
        check: (session) => checkVersion(session, expectedVersion),
        allowMissing,
        idempotencyKey: readIdempotencyKey("DeleteSession", { app, ...name, ...options }, at),
      });
      if (!ended && !allowMissing) absent();
    },

    /** Ends the user's sessions, all but `keep`, and answers how many. */
    async deleteUser(
      app: string,
      userId: string,
      keep?: SessionName,
      { allowMissing = false, requestId }: DeleteUserOptions = {},
    ): Promise<number> {
      checkApp(app);
      checkUserId(userId);
      const key = keep && keyOf(keep, "keep_");
      const at = now();
      const request = { app, userId, ...keep, allowMissing, requestId };
      const idempotencyKey = readIdempotencyKey("DeleteUserSessions", request, at);
      const options = { allowMissing, idempotencyKey };
      return (await store.deleteUser(app, userId, at, key, options)) ?? absent();
    },

    /**
     * Ends the app's sessions and answers how many; none if it is `cancelled` before it begins.
     */
    async deleteApp(
      app: string,
      cancelled: () => boolean = () => false,
      requestId?: string,
    ): Promise<number> {
      const at = now();
      const idempotencyKey = readIdempotencyKey(
        "DeleteAppSessions",
        { app: checkApp(app), requestId },
        at,
      );
      if (!idempotencyKey && cancelled()) return 0;
      return store.deleteApp(app, at, idempotencyKey);
    },

    /** What `use` makes of a page of live sessions, the newest created first. */
    async list<T>(
      request: ListRequest,
      use: UseListed<T>,
      asker: Asker = {},
    ): Promise<ListAnswer<T>> {
      const app = checkApp(request.app);
      const userId = request.userId === undefined ? "" : checkUserId(request.userId);
      const limit = checkPageSize(request.pageSize ?? 0);
      const at = now();
      const { activeWithin = 0, pageToken = "", currentToken = "" } = request;
      const currentHash =
        currentToken === "" ? null : hashToken(checkToken(currentToken, "current_token"));
      const since =
        request.activeWithin === undefined ? 0 : at - checkSeconds("active_within", activeWithin);
      const asked = { app, userId, activeWithin, account: asker.who ?? "" };
      // The first page's bound holds for all: a session within it stays within it.
      const { activeSince, before } =
        pageToken === ""
          ? { activeSince: since, before: undefined }
          : pageTokens.decode(pageToken, asked);
      const current = currentHash && (await store.peek(app, currentHash, at));
      const query = {
        activeSince,
        limit,
        maxBytes: LIMITS.pageBytes,
        ...(userId === "" ? {} : { userId }),
        ...(before === undefined ? {} : { before }),
      };
      const page = await readPage(app, at, asker, query, (session) =>
        use(session, session.id === current?.id),
      );
      return {
        sessions: page.sessions,
        nextPageToken:
          page.next === null ? "" : pageTokens.encode(asked, { activeSince, before: page.next }),
      };
    },

    /** How many users (not sessions) were active within the seconds given. */
    async countActiveUsers(
      app: string,
      activeWithin: number,
      { who = "", cancelled }: Asker = {},
    ): Promise<number> {
      checkApp(app);
      const at = now();
      const since = at - checkSeconds("active_within", activeWithin);
      return store.countActiveUsers(app, since, at, (work) => takeTurn(who, work), cancelled);
    },

    /** The app's live sessions of these public ids, in their order, without those that are gone. */
    async withIds(app: string, ids: readonly string[], { who = "" }: Asker = {}) {
      checkApp(app);
      const at = now();
      return takeTurn(who, () => store.withIds(app, ids, at));
    },
  };
}

function hashChecked(token: string): TokenHash {
  return hashToken(checkToken(token));
}

function keyOf(name: SessionName, prefix = ""): SessionKey {
  return "token" in name
    ? { tokenHash: hashToken(checkToken(name.token, `${prefix}token`)) }
    : { id: checkSessionId(name.sessionId, `${prefix}session_id`) };
}

function present<T>(found: T | null): T {
  return found ?? absent();
}

function absent(): never {
  throw noSession();
}

/** Throws `version_mismatch` unless the session has the version expected, if one is. */
function checkVersion({ version }: Session, expected: number | undefined): void {
  if (expected === undefined || expected === version) return;
  throw new LatchkeyError(
    "version_mismatch",
    `the session has version ${version}, not ${expected}: read it again`,
  );
}
