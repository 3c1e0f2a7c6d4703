import type { MaybePromise } from "../../lib/maybe-promise.js";
import type { SessionEvent } from "./session-event.js";

/** Events that a store keeps at least, of all its apps together; it keeps a few more. */
export const KEPT_EVENTS = 100_000;

/** Milliseconds after the last call of `watch` for an app during which its events are logged. */
export const LOG_PERIOD = 24 * 60 * 60_000;

/** Of that period (ms), what may pass before `watch` must be called again to prolong it. */
export const LOG_RENEWAL = 60 * 60_000;

/** Hears of a store's events. */
export interface EventListener {
  /** Events that became durable, in their order; must not throw. */
  happened(events: readonly SessionEvent[]): void;
  /** Whether to tell of touches of the app's sessions. */
  wantsTouches(app: string): boolean;
}

/** Which events to read. */
export interface EventQuery {
  readonly app: string;
  /** Only this user's. */
  readonly userId: string | undefined;
  /** Only those of higher revisions. */
  readonly after: number;
}

export interface EventPage {
  /** In the order of their revisions. */
  readonly events: readonly SessionEvent[];
  /** The events of the query up to this revision, at most `latest()`, are all in the page. */
  readonly revision: number;
}

/**
 * Where a store tells what happens to its sessions: to its listener, and for watched apps to a
 * log. The first revision of a store is random, so that a revision of another store, or of one
 * that is gone, is most likely none of its own.
 */
export interface EventLog {
  /** Has `listener`, instead of the one before, told of all events of watched apps from here on. */
  listen(listener: EventListener): void;

  /**
   * Sees to it that the app's events are logged from this call for LOG_PERIOD after `now` (ms).
   * Once it resolves, all that was not logged is visible to every method.
   */
  watch(app: string, now: number): Promise<void>;

  /** The highest revision of which the listener was told. */
  latest(): number;

  /**
   * Some of the events after a revision, the first ones first. Null if it is no revision of this
   * store, or if not all of the app's events after it are in the log.
   */
  read(query: EventQuery): MaybePromise<EventPage | null>;

  // A touch is told of within a second, if the listener wants it, and never logged.
}
