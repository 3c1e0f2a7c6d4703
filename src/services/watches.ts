import { LatchkeyError } from "../domain/error.js";
import { LOG_RENEWAL } from "../domain/event-log.js";
import { checkApp, checkUserId, LIMITS } from "../domain/limits.js";
import type { Session } from "../domain/session.js";
import type { SessionEvent } from "../domain/session-event.js";
import type { ListPage, SessionStore } from "../domain/session-store.js";
import { createEventHub, type Subscription } from "./event-hub.js";

/** Events wait this long (ms) for others to travel with. */
const DELAY = 10;

/** Bytes of data after which a page of a snapshot ends: one is in memory for each watcher who does
 * not read. */
const PAGE_BYTES = 131_072;

/** How long (ms) a stream may be silent before a mark of progress is sent. */
const PROGRESS_INTERVAL = 10_000;

/** What is to be watched, and from where on. */
export interface WatchRequest {
  readonly app: string;
  /** Only this user's sessions; the whole app's if empty. */
  readonly userId: string;
  /** Only what came after this revision; absent: begin with a snapshot. */
  readonly resumeRevision?: number;
  readonly includeTouches: boolean;
}

/** How long a watch goes on. */
export interface WatchCall {
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Asked before each answer; throws what ends the watch if its caller may not go on. */
  readonly checkCaller: () => void;
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

/** Called as watches go on, for metrics; must not throw. */
export interface WatchObserver {
  sent(events: number): void;
  /** A watch was ended because it fell behind. */
  dropped(): void;
}

export interface WatchesOptions {
  readonly store: Pick<SessionStore, "list" | "events">;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly observer: WatchObserver;
  readonly progressInterval?: number;
}

export type Watches = ReturnType<typeof createWatches>;

/** A watch as its caller may use it. */
export type Watch = (request: WatchRequest, call: WatchCall) => AsyncGenerator<WatchAnswer>;

/**
 * Tells what happens to sessions while it happens. A watch reads the snapshot and the log at its
 * caller's pace, and is in the hub only once it has caught up.
 */
export function createWatches(options: WatchesOptions) {
  const { store, now, observer, progressInterval = PROGRESS_INTERVAL } = options;
  const { events: log } = store;
  const hub = createEventHub(DELAY, observer.dropped);
  let closed = false;
  log.listen(hub.listener);

  async function* pages(app: string, userId: string | undefined) {
    let before: number | undefined;
    do {
      const page: ListPage = await store.list(app, now(), {
        ...(userId === undefined ? {} : { userId }),
        ...(before === undefined ? {} : { before }),
        limit: LIMITS.pageSize,
        maxBytes: PAGE_BYTES,
        includeEnding: true,
      });
      yield page.sessions;
      before = page.next ?? undefined;
      // A watcher that takes pages as fast as they come would hold the event loop to the last.
      await new Promise(setImmediate);
    } while (before !== undefined);
  }

  /** Answers what the subscription is told, until the watch is to end. */
  async function* follow(
    app: string,
    subscription: Subscription,
    mayGoOn: () => boolean,
  ): AsyncGenerator<WatchAnswer> {
    let renewAt = now() + LOG_RENEWAL;
    const timer = setTimeout(subscription.wake, progressInterval).unref();
    try {
      while (mayGoOn()) {
        const events = subscription.take();
        const last = events.at(-1);
        if (last) {
          observer.sent(events.length);
          yield { type: "events", revision: last.revision, events };
        } else {
          yield { type: "progress", revision: log.latest() };
        }
        if (now() >= renewAt) {
          renewAt = now() + LOG_RENEWAL;
          await log.watch(app, now());
        }
        timer.refresh();
        await subscription.wait();
      }
    } finally {
      clearTimeout(timer);
    }
  }

  const watch: Watch = async function* (request, { signal, checkCaller }) {
    const app = checkApp(request.app);
    const userId = request.userId === "" ? undefined : checkUserId(request.userId);
    const { includeTouches } = request;
    const mayGoOn = () => {
      if (closed) throw stopping();
      checkCaller();
      return !signal.aborted;
    };
    if (!mayGoOn()) return;
    await log.watch(app, now());

    let after = request.resumeRevision;
    do {
      if (after === undefined) {
        after = log.latest();
        for await (const sessions of pages(app, userId)) {
          if (!mayGoOn()) return;
          yield { type: "snapshot", revision: 0, sessions };
        }
        yield { type: "snapshotEnd", revision: after };
      }
      const page = await log.read({ app, userId, after });
      if (!mayGoOn()) return;
      after = page?.revision;
      if (!page) {
        yield { type: "reset", revision: 0 };
      } else if (page.events.length > 0) {
        observer.sent(page.events.length);
        yield { type: "events", ...page };
      } else {
        // There may be many pages of other users' and apps' events.
        await new Promise(setImmediate);
      }
    } while (after !== log.latest());

    // In the turn that found nothing left to read: whatever happens from here on is told.
    const subscription = hub.subscribe({ app, userId, includeTouches });
    const leave = () => subscription.end();
    // At once, for a watch whose answer is never taken would stay.
    signal.addEventListener("abort", leave);
    try {
      yield* follow(app, subscription, mayGoOn);
    } finally {
      signal.removeEventListener("abort", leave);
      leave();
    }
  };

  return {
    watch,

    /** How many watches have caught up and go on. */
    count: hub.count,

    /** Ends all watches, and those to come, with `unavailable`. */
    close() {
      closed = true;
      hub.endAll(stopping());
    },
  };
}

function stopping(): LatchkeyError {
  return new LatchkeyError("unavailable", "the server is stopping: resume from the last revision");
}
