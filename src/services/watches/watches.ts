import { LatchkeyError } from "../../domain/error.js";
import { checkApp, checkUserId } from "../../domain/limits.js";
import { LOG_RENEWAL } from "../../domain/sessions/event-log.js";
import type { SessionStore } from "../../domain/sessions/session-store.js";
import type { TakeTurn } from "../turns.js";
import { createEventHub } from "./event-hub.js";
import { createOpenWatches, type OpenWatchesOptions } from "./open-watches.js";
import { createSnapshots } from "./snapshot.js";
import type { Subscription } from "./subscriber.js";
import type { Watch, WatchAnswer, WatchCall } from "./watch-request.js";

/** Events wait this long (ms) for others to travel with. */
const DELAY = 10;

/** How long (ms) a stream may be silent before a mark of progress is sent. */
const PROGRESS_INTERVAL = 10_000;

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
  /** When pages of snapshots are read; if absent, at once. */
  readonly takeTurn?: TakeTurn;
  /** How many watches may be open. */
  readonly open?: OpenWatchesOptions;
}

export type Watches = ReturnType<typeof createWatches>;

/**
 * Tells what happens to sessions while it happens. A watch reads the snapshot and the log at its
 * caller's pace, and is in the hub only once it has caught up.
 */
export function createWatches(options: WatchesOptions) {
  const { store, now, observer, progressInterval = PROGRESS_INTERVAL } = options;
  const { takeTurn = async (_, work) => work() } = options;
  const { events: eventLog } = store;
  const open = createOpenWatches(options.open ?? {});
  const snapshotOf = createSnapshots({ list: store.list, now, takeTurn });
  const hub = createEventHub(DELAY, observer.dropped);
  let closed = false;
  eventLog.listen(hub.listener);

  /** Answers what the subscription is told, until the watch is to end. */
  async function* follow(
    app: string,
    subscription: Subscription,
    room: WatchCall["room"],
    mayGoOn: () => boolean,
  ): AsyncGenerator<WatchAnswer> {
    let renewAt = now() + LOG_RENEWAL;
    const timer = setTimeout(subscription.wake, progressInterval).unref();
    try {
      for (;;) {
        await room();
        if (!mayGoOn()) return;
        const events = subscription.take();
        const last = events.at(-1);
        if (last) {
          observer.sent(events.length);
          yield { type: "events", revision: last.revision, events };
        } else {
          yield { type: "progress", revision: eventLog.latest() };
        }
        if (now() >= renewAt) {
          renewAt = now() + LOG_RENEWAL;
          await eventLog.watch(app, now());
        }
        timer.refresh();
        await subscription.wait();
      }
    } finally {
      clearTimeout(timer);
    }
  }

  const watch: Watch = async function* (request, call) {
    const { signal, checkCaller, owner, room } = call;
    const app = checkApp(request.app);
    const userId = request.userId === "" ? undefined : checkUserId(request.userId);
    const { includeTouches } = request;
    const mayGoOn = () => {
      if (closed) throw stopping();
      checkCaller();
      return !signal.aborted;
    };
    if (!mayGoOn()) return;
    const end = open.enter(owner);
    let subscription: Subscription | undefined;
    const leave = () => {
      end();
      subscription?.end();
    };
    // At once, for a watch whose answer is never taken would stay.
    signal.addEventListener("abort", leave);
    try {
      await eventLog.watch(app, now());
      let after = request.resumeRevision;
      do {
        if (after === undefined) {
          after = eventLog.latest();
          const snapshot = snapshotOf(app, userId, call);
          for (let isLast = false; !isLast; ) {
            isLast = await snapshot.read();
            if (!mayGoOn()) return;
            yield snapshot.take();
            // A watcher that takes pages as fast as they come would hold the event loop to the last.
            await new Promise(setImmediate);
          }
          yield { type: "snapshotEnd", revision: after };
        }
        await room();
        const page = await eventLog.read({ app, userId, after });
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
      } while (after !== eventLog.latest());

      // In the turn that found nothing left to read: whatever happens from here on is told.
      subscription = hub.subscribe({ app, userId, includeTouches });
      yield* follow(app, subscription, room, mayGoOn);
    } finally {
      signal.removeEventListener("abort", leave);
      leave();
    }
  };

  return {
    watch,

    /** How many watches are open, and how many of them have caught up. */
    open: open.count,
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
