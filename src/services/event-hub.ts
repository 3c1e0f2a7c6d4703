import { LatchkeyError } from "../domain/error.js";
import type { EventListener } from "../domain/event-log.js";
import type { SessionEvent } from "../domain/session-event.js";

/** Events that may wait for one subscriber. */
export const QUEUE_LIMIT = 1_000;

/** What a subscriber wants to be told. */
export interface Interest {
  readonly app: string;
  /** Only this user's sessions. */
  readonly userId: string | undefined;
  readonly includeTouches: boolean;
}

/** One subscriber's place in the hub. */
export interface Subscription {
  /** Resolves when there are events to take, or `wake` or `end` is called. One call at a time. */
  wait(): Promise<void>;
  /** The events since the last call. Throws `limit` once too many waited, and what ended it. */
  take(): readonly SessionEvent[];
  wake(): void;
  /** Leaves the hub, forgets what waits; `take` throws `error`. The first call counts. */
  end(error?: LatchkeyError): void;
}

export type EventHub = ReturnType<typeof createEventHub>;

/**
 * Hands events to those who subscribed to their app or user. A subscriber costs a writer one push
 * to its queue; it is woken `delay` ms after the first event, so that events travel together. `onDropped` is called
 * when one is ended because too many events waited for it.
 */
export function createEventHub(delay: number, onDropped: () => void) {
  const all = new Set<Subscription>();
  const subscribers = new Map<string, Set<Subscriber>>();
  /** How many want the touches of an app. */
  const touchWishes = new Map<string, number>();
  /** Those with events that they do not know of. */
  let unaware: Subscriber[] = [];

  const wakeAll = () => {
    const woken = unaware;
    unaware = [];
    for (const { wake } of woken) wake();
  };

  const tell = (key: string, event: SessionEvent) => {
    for (const subscriber of subscribers.get(key) ?? []) {
      if (!subscriber.push(event)) continue;
      unaware.push(subscriber);
      if (unaware.length === 1) setTimeout(wakeAll, delay);
    }
  };

  const listener: EventListener = {
    happened(events) {
      if (subscribers.size === 0) return;
      for (const event of events) {
        tell(keyOf(event.app, undefined), event);
        tell(keyOf(event.app, event.userId), event);
      }
    },
    wantsTouches: (app) => touchWishes.has(app),
  };

  return {
    listener,

    count: () => all.size,

    endAll(error: LatchkeyError) {
      for (const subscriber of all) subscriber.end(error);
    },

    /** From here on; what happened before is not told. */
    subscribe(interest: Interest): Subscription {
      const key = keyOf(interest.app, interest.userId);
      const leave = () => {
        all.delete(subscriber);
        const left = subscribers.get(key);
        left?.delete(subscriber);
        if (left?.size === 0) subscribers.delete(key);
        if (interest.includeTouches) count(touchWishes, interest.app, -1);
      };
      const subscriber = createSubscriber(interest.includeTouches, leave, onDropped);
      const others = subscribers.get(key) ?? new Set();
      subscribers.set(key, others.add(subscriber));
      all.add(subscriber);
      if (interest.includeTouches) count(touchWishes, interest.app, 1);
      return subscriber;
    },
  };
}

interface Subscriber extends Subscription {
  /** Takes an event into the queue; answers whether it is the first that waits there. */
  push(event: SessionEvent): boolean;
}

function createSubscriber(
  includeTouches: boolean,
  leave: () => void,
  onDropped: () => void,
): Subscriber {
  let queue: SessionEvent[] = [];
  let isAwake = false;
  let failure: LatchkeyError | undefined;
  let hasLeft = false;
  let resume = () => {};

  const wake = () => {
    isAwake = true;
    resume();
  };
  const end = (error?: LatchkeyError) => {
    if (hasLeft) return;
    hasLeft = true;
    failure = error;
    queue = [];
    leave();
    wake();
  };

  return {
    wake,
    end,
    push(event) {
      if (event.type === "touched" && !includeTouches) return false;
      if (queue.length === QUEUE_LIMIT) {
        end(fellBehind());
        onDropped();
        return false;
      }
      return queue.push(event) === 1;
    },
    async wait() {
      if (!isAwake) {
        await new Promise<void>((resolve) => {
          resume = resolve;
        });
      }
      isAwake = false;
    },
    take() {
      if (failure) throw failure;
      const taken = queue;
      queue = [];
      return taken;
    },
  };
}

/** No user has this character. */
function keyOf(app: string, userId: string | undefined): string {
  return userId === undefined ? app : `${app}\n${userId}`;
}

function count(counts: Map<string, number>, key: string, by: number): void {
  const counted = (counts.get(key) ?? 0) + by;
  if (counted === 0) counts.delete(key);
  else counts.set(key, counted);
}

function fellBehind(): LatchkeyError {
  return new LatchkeyError(
    "limit",
    `the watcher fell behind by more than ${QUEUE_LIMIT} events: resume from the last revision received`,
  );
}
