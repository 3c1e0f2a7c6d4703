import type { Session } from "../../domain/sessions/session.js";
import type { SessionEvent } from "../../domain/sessions/session-event.js";
import type { MaybePromise } from "../../lib/maybe-promise.js";

/** What is to be watched, and from where on. */
export interface WatchRequest {
  readonly app: string;
  /** Only this user's sessions; the whole app's if empty. */
  readonly userId: string;
  /** Only what came after this revision; absent: begin with a snapshot. */
  readonly resumeRevision?: number;
  readonly includeTouches: boolean;
}

/** What a watch asks of the call that it answers. */
export interface AnswerCall {
  /** Ends it. */
  readonly signal: AbortSignal;
  /** The address that the call came from, for callers without accounts. */
  readonly address: string;
  /** Resolves once there is memory for the next answer, or the call is over. */
  readonly room: () => MaybePromise<void>;
}

/** How long a watch goes on, and whose it is. */
export interface WatchCall extends Omit<AnswerCall, "address"> {
  /** Asked before each answer; throws what ends the watch if its caller may not go on. */
  readonly checkCaller: () => void;
  /** By whom it is counted: an account's id, or an address. */
  readonly owner: string | number;
  /** With whom it takes turns; empty where there are no accounts. */
  readonly who: string;
}

/**
 * One answer of a watch. Who has handled it may resume from `revision`; 0 if it must begin anew
 * instead, because a snapshot is not complete.
 */
export type WatchAnswer =
  /** A page of the live sessions, which may show changes of which events follow. */
  | { readonly type: "snapshot"; readonly revision: 0; readonly sessions: readonly Session[] }
  /** All sessions that lived at the revision were in the pages. */
  | { readonly type: "snapshotEnd"; readonly revision: number }
  | { readonly type: "events"; readonly revision: number; readonly events: readonly SessionEvent[] }
  /** All events up to the revision were sent. */
  | { readonly type: "progress"; readonly revision: number }
  /** It cannot be resumed from where was asked: a snapshot follows, which replaces all before. */
  | { readonly type: "reset"; readonly revision: 0 };

/** A watch as its caller may use it. */
export type Watch = (request: WatchRequest, call: WatchCall) => AsyncGenerator<WatchAnswer>;
