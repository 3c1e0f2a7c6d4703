/** Milliseconds that calls fail at once, after which one of them tries. */
const PAUSE = 1_000;
/** Milliseconds; to have waited less says nothing about the server. */
const PATIENCE = 1_000;

/** Knows whether the server answers, so that not every call has to wait for that. */
export interface Breaker {
  /** Whether a call may go out; while the server is silent that is one a second. */
  admits(): boolean;
  /** Notes that the server answered, whatever it said. */
  onAnswer(): void;
  /** Notes that a call that began at `start` got no answer. */
  onSilence(start: number): void;
}

/** `now` is in milliseconds. */
export function createBreaker(now: () => number): Breaker {
  let answeredAt = Number.NEGATIVE_INFINITY;
  let openUntil: number | undefined;
  return {
    admits() {
      if (openUntil === undefined) return true;
      if (now() < openUntil) return false;
      openUntil = now() + PAUSE;
      return true;
    },
    onAnswer() {
      answeredAt = now();
      openUntil = undefined;
    },
    onSilence(start) {
      // One call may be slow; that others were answered meanwhile says that the server is there.
      if (answeredAt >= start || now() - start < PATIENCE) return;
      openUntil = now() + PAUSE;
    },
  };
}
