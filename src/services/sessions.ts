import type { Logger } from "pino";
import { checkDeadline, checkIdleTtl } from "../domain/app-policy.js";
import { type Awaitable, then } from "../domain/awaitable.js";
import type { Seen } from "../domain/binding.js";
import { invalid, LatchkeyError } from "../domain/error.js";
import { type JsonObject, mergeJson } from "../domain/json.js";
import {
  checkApp,
  checkData,
  checkIp,
  checkPageSize,
  checkSeconds,
  checkSessionId,
  checkToken,
  checkUserAgent,
  checkUserId,
  LIMITS,
} from "../domain/limits.js";
import { type Change, type Session, touched } from "../domain/session.js";
import type { ListPage, SessionKey, SessionStore } from "../domain/session-store.js";
import { hashToken, newToken, type RandomBytes, type TokenHash } from "../domain/token.js";
import { createAppPolicies, lifetimeOf } from "./app-policies.js";
import { createBindings } from "./bindings.js";
import { decodePageToken, encodePageToken } from "./page-token.js";

export interface SessionsOptions {
  readonly store: SessionStore;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly randomBytes: RandomBytes;
  /** A new UUID (version 7) for the given instant, in lower case. */
  readonly newSessionId: (now: number) => string;
  /** Gets a line where a session is not used as its app's policy wants. */
  readonly log: Pick<Logger, "warn">;
}

export interface CreateRequest {
  readonly app: string;
  readonly userId: string;
  readonly ip?: string;
  readonly userAgent?: string;
  readonly data?: JsonObject;
  /** Seconds; the app's default if absent. */
  readonly idleTtl?: number;
  /** Seconds from now; the app's default if absent. */
  readonly absoluteTtl?: number;
  /** Whether the session ends with its first idle time, however often it is accessed. */
  readonly isFixed?: boolean;
}

export interface UpdateRequest {
  readonly app: string;
  readonly token: string;
  /** Keys to set; null removes a key, keys not named stay. */
  readonly data: JsonObject;
  readonly expectedVersion?: number;
}

export interface ExtendRequest {
  readonly app: string;
  readonly token: string;
  /** Seconds. At least one of the two is required. */
  readonly idleTtl?: number;
  /** Seconds from now. */
  readonly absoluteTtl?: number;
}

/** Names one session: by its secret token, or by its public id. */
export type SessionName = { readonly token: string } | { readonly sessionId: string };

export interface ListRequest {
  readonly app: string;
  /** Only this user's sessions. */
  readonly userId?: string;
  /** Seconds; every live session if absent. */
  readonly activeWithin?: number;
  /** 0 for the default. */
  readonly pageSize?: number;
  /** Empty for the first page. */
  readonly pageToken?: string;
  /** The token of the caller's own session, which the answer then names; empty: none. */
  readonly currentToken?: string;
}

export interface ListAnswer {
  readonly sessions: readonly Session[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
  /** Which session the caller's own token opens; null if none or none was passed. */
  readonly currentId: string | null;
}

export type Sessions = ReturnType<typeof createSessions>;

/**
 * The use cases of app sessions. Every method checks its input, and rejects with
 * `invalid` naming the field (as the .proto files call it) before anything
 * happens (reads throw it); those that need a session reject with `not_found` if the app has no
 * live one of that name. Storage failures reject with `unavailable`.
 */
export function createSessions({ store, now, randomBytes, newSessionId, log }: SessionsOptions) {
  const bindings = createBindings({ store, log });

  /** Reads by a method of the store, once the session is held to what the policy binds it to. */
  const read = <T>(
    ask: (app: string, tokenHash: TokenHash, now: number) => Awaitable<T | null>,
    app: string,
    token: string,
    seen: Seen | undefined,
  ): Awaitable<T> => {
    checkApp(app);
    const tokenHash = hashChecked(token);
    const at = now();
    const enforcing = seen && bindings.enforce(app, tokenHash, at, seen);
    return enforcing
      ? enforcing.then(() => then(ask(app, tokenHash, at), present))
      : then(ask(app, tokenHash, at), present);
  };

  return {
    ...createAppPolicies(store),

    /** Starts a session; its token is answered here and never again. */
    async create(request: CreateRequest): Promise<{ token: string; session: Session }> {
      const { data = {} } = request;
      const createdAt = now();
      const app = checkApp(request.app);
      const session: Session = {
        id: newSessionId(createdAt),
        app,
        userId: checkUserId(request.userId),
        ip: request.ip ? checkIp(request.ip) : "",
        userAgent: request.userAgent ? checkUserAgent(request.userAgent) : "",
        ...lifetimeOf(store.policy(app), request, createdAt),
        data: checkData(mergeJson({}, data)),
        reads: 1,
        writes: 1,
        version: 1,
        createdAt,
        lastAccessedAt: createdAt,
      };
      const token = newToken(randomBytes);
      await store.create(session, hashToken(token));
      return { token, session };
    },

    /** Reads a session, counts the read and restarts the idle time. */
    touch(app: string, token: string, seen?: Seen): Awaitable<Change> {
      return read(store.touch, app, token, seen);
    },

    /** Reads a session and changes nothing. */
    peek(app: string, token: string, seen?: Seen): Awaitable<Session> {
      return read(store.peek, app, token, seen);
    },

    /**
     * Merges `data` into the session's data. Rejects with `version_mismatch` if
     * a version is expected that the session does not have.
     */
    async update(request: UpdateRequest): Promise<Change> {
      const { data, expectedVersion } = request;
      checkApp(request.app);
      const tokenHash = hashChecked(request.token);
      if (Object.keys(data).length === 0) {
        throw invalid("data", "missing", "data must have at least one key");
      }
      // The merge below is checked as a whole; this keeps a deep one from it.
      checkData(data);
      const at = now();
      const change = (session: Session): Session => {
        if (expectedVersion !== undefined && expectedVersion !== session.version) {
          throw new LatchkeyError(
            "version_mismatch",
            `the session has version ${session.version}, not ${expectedVersion}: read it again`,
          );
        }
        return {
          ...session,
          data: checkData(mergeJson(session.data, data)),
          writes: session.writes + 1,
          version: session.version + 1,
          lastAccessedAt: touched(session, at).lastAccessedAt,
        };
      };
      return (await store.update(request.app, tokenHash, at, change)) ?? absent();
    },

    /** Sets the limits of a session's life, counted from now. */
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
      const changed = await store.update(request.app, tokenHash, at, (session) => ({
        ...session,
        idleTtl: idleTtl ?? session.idleTtl,
        absoluteExpiresAt:
          absoluteExpiresAt === undefined
            ? session.absoluteExpiresAt
            : checkDeadline(policy, session, absoluteExpiresAt),
        version: session.version + 1,
        lastAccessedAt: touched(session, at).lastAccessedAt,
      }));
      return changed?.after ?? absent();
    },

    /** Ends one session. */
    async delete(app: string, name: SessionName): Promise<void> {
      checkApp(app);
      if (!(await store.delete(app, keyOf(name), now()))) absent();
    },

    /** Ends the user's sessions, all but `keep`, and answers how many. */
    async deleteUser(app: string, userId: string, keep?: SessionName): Promise<number> {
      checkApp(app);
      checkUserId(userId);
      const key = keep && keyOf(keep, "keep_");
      return (await store.deleteUser(app, userId, now(), key)) ?? absent();
    },

    /** Ends the app's sessions and answers how many; stops early once `cancelled`. */
    async deleteApp(app: string, cancelled: () => boolean = () => false): Promise<number> {
      return store.deleteApp(checkApp(app), now(), cancelled);
    },

    /** A page of live sessions, the newest created first. */
    async list(request: ListRequest): Promise<ListAnswer> {
      const app = checkApp(request.app);
      const userId = request.userId === undefined ? "" : checkUserId(request.userId);
      const limit = checkPageSize(request.pageSize ?? 0);
      const at = now();
      const { activeWithin = 0, pageToken = "", currentToken = "" } = request;
      const currentHash =
        currentToken === "" ? null : hashToken(checkToken(currentToken, "current_token"));
      const since =
        request.activeWithin === undefined ? 0 : at - checkSeconds("active_within", activeWithin);
      const asked = { app, userId, activeWithin };
      // The first page's bound holds for all: a session within it stays within it.
      const { activeSince, before } =
        pageToken === ""
          ? { activeSince: since, before: undefined }
          : decodePageToken(pageToken, asked);
      const page: ListPage = await store.list(app, at, {
        activeSince,
        limit,
        maxBytes: LIMITS.pageBytes,
        ...(userId === "" ? {} : { userId }),
        ...(before === undefined ? {} : { before }),
      });
      const current = currentHash && (await store.peek(app, currentHash, at));
      return {
        sessions: page.sessions,
        nextPageToken:
          page.next === null ? "" : encodePageToken({ ...asked, activeSince, before: page.next }),
        currentId: current?.id ?? null,
      };
    },

    /** How many users (not sessions) were active within the seconds given. */
    async countActiveUsers(app: string, activeWithin: number): Promise<number> {
      checkApp(app);
      const at = now();
      return store.countActiveUsers(app, at - checkSeconds("active_within", activeWithin), at);
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
  throw new LatchkeyError("not_found", "the app has no live session of this name");
}
