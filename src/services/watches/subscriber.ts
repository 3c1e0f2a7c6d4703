import { LatchkeyError } from "../../domain/error.js";
import type { SessionEvent } from "../../domain/sessions/session-event.js";

/** Events that may wait for one subscriber. */
export const QUEUE_LIMIT = 1_000;

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

/** A subscription as the hub has it. */
export interface Subscriber extends Subscription {
  /** Takes an event into the queue; answers whether it is the first that waits there. */
  push(event: SessionEvent): boolean;
  /** How many events wait there. */
  queued(): number;
  /** Ends it, because too many events wait. */
  drop(): void;
}

export interface SubscriberOptions {
  readonly includeTouches: boolean;
  readonly leave: () => void;
  readonly onDropped: () => void;
  /** Called with how many events wait more, or fewer if negative. */
  readonly onQueued: (events: number) => void;
}

/** Returns a subscriber for whom nothing waits. */
export function createSubscriber(options: SubscriberOptions): Subscriber {
  const { includeTouches, leave, onDropped, onQueued } = options;
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
    onQueued(-queue.length);
    queue = [];
    leave();
    wake();
  };

  const drop = () => {
    end(fellBehind());
    onDropped();
  };

  return {
    wake,
    end,
    drop,
    queued: () => queue.length,
    push(event) {
      if (event.type === "touched" && !includeTouches) return false;
      if (queue.length === QUEUE_LIMIT) {
        drop();
        return false;
      }
      onQueued(1);
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
      onQueued(-taken.length);
      queue = [];
      return taken;
    },
  };
}

function fellBehind(): LatchkeyError {
  return new LatchkeyError(
    "limit",
    `the watcher fell behind by more than ${QUEUE_LIMIT} events, or by the most of all while too many waited: resume from the last revision received`,
  );
}
