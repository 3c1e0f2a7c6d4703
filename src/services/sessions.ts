import { type Awaitable, then } from "../domain/awaitable.js";
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
import { decodePageToken, encodePageToken } from "./page-token.js";

export interface SessionsOptions {
  readonly store: SessionStore;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly randomBytes: RandomBytes;
  /** A new UUID (version 7) for the given instant, in lower case. */
  readonly newSessionId: (now: number) => string;
}

export interface CreateRequest {
  readonly app: string;
  readonly userId: string;
  readonly ip?: string;
  readonly userAgent?: string;
  readonly data?: JsonObject;
  /** Seconds; 7200 if absent. */
  readonly idleTtl?: number;
  /** Seconds from now; no limit if absent. */
  readonly absoluteTtl?: number;
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
}

export interface ListAnswer {
  readonly sessions: readonly Session[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

export type Sessions = ReturnType<typeof createSessions>;

/**
 * The use cases of app sessions. Every method checks its input, and rejects with
 * `invalid` naming the field (as the .proto files call it) before anything
 * happens (reads throw it); those that need a session reject with `not_found` if the app has no
 * live one of that name. Storage failures reject with `unavailable`.
 */
export function createSessions({ store, now, randomBytes, newSessionId }: SessionsOptions) {
  return {
    /** Starts a session; its token is answered here and never again. */
    async create(request: CreateRequest): Promise<{ token: string; session: Session }> {
      const { data = {}, idleTtl = LIMITS.ttlDefault, absoluteTtl } = request;
      const createdAt = now();
      const session: Session = {
        id: newSessionId(createdAt),
        app: checkApp(request.app),
        userId: checkUserId(request.userId),
        ip: request.ip ? checkIp(request.ip) : "",
        userAgent: request.userAgent ? checkUserAgent(request.userAgent) : "",
        idleTtl: checkSeconds("idle_ttl", idleTtl),
        absoluteExpiresAt:
          absoluteTtl === undefined ? null : createdAt + checkSeconds("absolute_ttl", absoluteTtl),
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
    touch(app: string, token: string): Awaitable<Change> {
      checkApp(app);
      return then(store.touch(app, hashChecked(token), now()), present);
    },

    /** Reads a session and changes nothing. */
    peek(app: string, token: string): Awaitable<Session> {
      checkApp(app);
      return then(store.peek(app, hashChecked(token), now()), present);
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
      const changed = await store.update(request.app, tokenHash, at, (session) => ({
        ...session,
        idleTtl: idleTtl ?? session.idleTtl,
        absoluteExpiresAt: absoluteExpiresAt ?? session.absoluteExpiresAt,
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
      const { activeWithin = 0, pageToken = "" } = request;
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
      return {
        sessions: page.sessions,
        nextPageToken:
          page.next === null ? "" : encodePageToken({ ...asked, activeSince, before: page.next }),
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
