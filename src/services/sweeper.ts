import type { SessionStore } from "../domain/session-store.js";
import { inSlices } from "../domain/slices.js";

export interface SweeperOptions {
  readonly store: Pick<SessionStore, "sweep">;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Milliseconds between the end of a sweep and the next. */
  readonly interval: number;
  readonly onError: (error: unknown) => void;
}

/** Sessions that one slice of a sweep looks at: a few milliseconds of work, also in a large file. */
const SLICE = 100;

/** A sweep rests longer than what callers wait for: nobody waits for it. */
const RESTS = 2;

/**
 * Reclaims from time to time what expired sessions take, slice by slice. Whether a session lives never depends on it.
 */
export function startSweeper({ store, now, clock, interval, onError }: SweeperOptions) {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const sweep = async () => {
    try {
      const slice = async () => !stopped && (await store.sweep(now(), SLICE));
      await inSlices(slice, { clock, rests: RESTS });
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
