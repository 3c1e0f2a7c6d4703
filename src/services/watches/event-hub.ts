import type { LatchkeyError } from "../../domain/error.js";
import type { EventListener } from "../../domain/sessions/event-log.js";
import type { SessionEvent } from "../../domain/sessions/session-event.js";
import { createSubscriber, type Subscriber, type Subscription } from "./subscriber.js";

/** Events that may wait for all subscribers, an event for each of them: 200 each for 10,000. */
const QUEUES_LIMIT = 2_000_000;

/** What a subscriber wants to be told. */
export interface Interest {
  readonly app: string;
  /** Only this user's sessions. */
  readonly userId: string | undefined;
  readonly includeTouches: boolean;
}

export type EventHub = ReturnType<typeof createEventHub>;

/**
 * Hands events to those who subscribed to their app or user. A subscriber costs a writer one push
 * to its queue; it is woken `delay` ms after the first event, so that events travel together.
 * `onDropped` is called when one is ended because too many events waited for it: more than
 * QUEUE_LIMIT, or the most of all where more than `queuesLimit` wait in sum.
 */
export function createEventHub(
  delay: number,
  onDropped: () => void,
  queuesLimit: number = QUEUES_LIMIT,
) {
  const all = new Set<Subscriber>();
  /** Events that wait, in sum. */
  let queued = 0;
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

  const dropLongest = () => {
    let longest: Subscriber | undefined;
    for (const one of all) if (!longest || one.queued() > longest.queued()) longest = one;
    longest?.drop();
  };

  const tell = (key: string, event: SessionEvent) => {
    for (const subscriber of subscribers.get(key) ?? []) {
      const isFirst = subscriber.push(event);
      if (queued > queuesLimit) dropLongest();
      if (!isFirst) continue;
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
      const { includeTouches } = interest;
      const key = keyOf(interest.app, interest.userId);
      const leave = () => {
        all.delete(subscriber);
        const left = subscribers.get(key);
        left?.delete(subscriber);
        if (left?.size === 0) subscribers.delete(key);
        if (includeTouches) count(touchWishes, interest.app, -1);
      };
      const subscriber = createSubscriber({
        ...{ includeTouches, leave, onDropped },
        onQueued: (events) => {
          queued += events;
        },
      });
      const others = subscribers.get(key) ?? new Set();
      subscribers.set(key, others.add(subscriber));
      all.add(subscriber);
      if (includeTouches) count(touchWishes, interest.app, 1);
      return subscriber;
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
