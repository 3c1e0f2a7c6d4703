import type { SessionStore } from "../domain/sessions/session-store.js";
import { inPacedBatches } from "../lib/paced-batches.js";

export interface SweeperOptions {
  readonly store: Pick<SessionStore, "sweep">;
  /** Milliseconds since 1970; null while no clock can be relied on, and nothing is removed. */
  readonly removalTime: () => number | null;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Milliseconds between the end of a sweep and the next. */
  readonly interval: number;
  readonly onError: (error: unknown) => void;
}

/** Sessions that one batch of a sweep looks at: a few milliseconds of work, also in a large file. */
const BATCH_SIZE = 100;

/** A sweep rests longer than what callers wait for: nobody waits for it. */
const RESTS = 2;

/**
 * Reclaims from time to time what expired sessions take, batch by batch. Whether a session lives never depends on it.
 */
export function startSweeper({ store, removalTime, clock, interval, onError }: SweeperOptions) {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const sweep = async () => {
    try {
      const batch = async () => {
        // Asked for each batch: a clock may jump while a long sweep goes on.
        const now = stopped ? null : removalTime();
        return now !== null && (await store.sweep(now, BATCH_SIZE));
      };
      await inPacedBatches(batch, { clock, rests: RESTS });
    } catch (error) {
      if (!stopped) onError(error);
    }
    if (!stopped) schedule();
  };
  const schedule = () => {
    timer = setTimeout(sweep, interval).unref();
  };
  schedule();

  return {
    /** No sweep begins after this. */
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
