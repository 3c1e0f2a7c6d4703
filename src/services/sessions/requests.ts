import type { Session } from "../../domain/sessions/session.js";
import type { JsonObject } from "../../lib/json.js";

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
  /** The session's token, made by the caller; this server makes one if absent. */
  readonly token?: string;
  /** Whether the session ends with its first idle time, however often it is accessed. */
  readonly isFixed?: boolean;
  /** Empty or absent: the request cannot be repeated; so in all requests that have it. */
  readonly requestId?: string;
}

/** How an update's data is merged: `flat` as `mergeJson` does, `patch` as `mergePatch` does. */
export type DataMerge = "flat" | "patch";

export interface UpdateRequest {
  readonly app: string;
  readonly token: string;
  readonly data: JsonObject;
  /** `flat` if absent. */
  readonly merge?: DataMerge;
  /** The version that the session must have; any if absent; so in all requests that have it. */
  readonly expectedVersion?: number;
  readonly requestId?: string;
}

export interface ExtendRequest {
  readonly app: string;
  readonly token: string;
  /** Seconds. At least one of the two is required. */
  readonly idleTtl?: number;
  /** Seconds from now. */
  readonly absoluteTtl?: number;
  readonly expectedVersion?: number;
  readonly requestId?: string;
}

export interface RotateRequest {
  readonly app: string;
  readonly token: string;
  /** Seconds that the old token stays good, 0 to 300; 30 if absent. */
  readonly grace?: number;
  /** Whether the new token counts as used from the start. */
  readonly assumeReceived?: boolean;
  readonly expectedVersion?: number;
  readonly requestId?: string;
}

export interface RotateAnswer {
  readonly token: string;
  readonly session: Session;
  /** The instant (ms) from which the use of the old token ends the session, if the new one was
   * used. */
  readonly graceEndsAt: number;
}

export interface DeleteOptions {
  /** Whether it is no error if there is no such session. */
  readonly allowMissing?: boolean;
  readonly expectedVersion?: number;
  readonly requestId?: string;
}

export interface DeleteUserOptions {
  /** Whether all are ended if there is no such session to keep. */
  readonly allowMissing?: boolean;
  readonly requestId?: string;
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

/** Who asks for what takes long. */
export interface Asker {
  /** The account that asks; empty or absent: nobody's. Each has turns and page tokens of its own. */
  readonly who?: string;
  /** Whether the answer is wanted no more; it may then be anything. */
  readonly cancelled?: () => boolean;
}

/** What is made of a session of a list, in the turn that reads it. `isCurrent`: whether the caller's
 * own token opens it. */
export type UseListed<T> = (session: Session, isCurrent: boolean) => T;

export interface ListAnswer<T> {
  readonly sessions: readonly T[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}
