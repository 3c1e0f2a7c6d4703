import type { SessionStore } from "../domain/session-store.js";

export interface SweeperOptions {
  readonly store: Pick<SessionStore, "sweep">;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds between the end of a sweep and the next. */
  readonly interval: number;
  readonly onError: (error: unknown) => void;
}

/** Sessions that one slice of a sweep looks at: a few milliseconds of work, also in a large file. */
const SLICE = 100;

/**
 * Reclaims from time to time what expired sessions take, a slice a turn of
 * the event loop. Whether a session lives never depends on it.
 */
export function startSweeper({ store, now, interval, onError }: SweeperOptions) {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const sweep = async () => {
    try {
      while (!stopped && (await store.sweep(now(), SLICE))) await new Promise(setImmediate);
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
