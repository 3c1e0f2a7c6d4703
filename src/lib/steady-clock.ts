/** Milliseconds by which the two clocks may part within `AGREEMENT`; further is a jump. */
export const TOLERANCE = 5_000;

/** Milliseconds that the clocks must agree after a jump before the wall clock is believed again. */
export const AGREEMENT = 5 * 60_000;

export interface SteadyClockOptions {
  /** The wall clock: milliseconds since 1970. It may be set, to any time and at any time. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Told once, when a jump begins, by how many milliseconds. */
  readonly onJump: (milliseconds: number) => void;
  /** Told when the wall clock is believed again, and by how many milliseconds time then moves. */
  readonly onAgreement: (milliseconds: number) => void;
}

export interface SteadyClock {
  /**
   * Milliseconds since 1970 for all that lives and ends by time: the wall clock's, and after a jump
   * of it, until it is believed again, what the monotonic clock makes of its last time before.
   */
  readonly now: () => number;
  /** The same for what is removed for good; null while the clocks disagree, and nothing may be. */
  readonly removalTime: () => number | null;
}

/**
 * A clock that no jump of the wall clock moves at once, by a monotonic clock beside it. It notices a
 * jump when it is asked, so something must ask it every few seconds.
 */
export function createSteadyClock(options: SteadyClockOptions): SteadyClock {
  const { now, clock, onJump, onAgreement } = options;

  const sample = () => {
    const monotonic = clock();
    return { monotonic, offset: now() - monotonic };
  };

  const first = sample();
  /** What the next samples are compared with, and since when. */
  let anchor = first;
  /** The wall clock's offset that is believed: the last before a jump. */
  let believed = first.offset;
  let isParted = false;

  const isFar = ({ offset }: { readonly offset: number }) =>
    Math.abs(offset - anchor.offset) > TOLERANCE;

  /** Compares the clocks. */
  const look = () => {
    let seen = sample();
    // The process may have been held between the two clocks of one sample.
    if (isFar(seen)) seen = sample();
    if (isFar(seen)) {
      const distance = seen.offset - anchor.offset;
      anchor = seen;
      if (!isParted) {
        isParted = true;
        onJump(distance);
      }
      return seen;
    }
    if (seen.monotonic - anchor.monotonic >= AGREEMENT) {
      anchor = seen;
      if (isParted) {
        isParted = false;
        onAgreement(seen.offset - believed);
      }
    }
    if (!isParted) believed = seen.offset;
    return seen;
  };

  const read = () => Math.round(look().monotonic + believed);

  return {
    now: read,
    removalTime() {
      const at = read();
      return isParted ? null : at;
    },
  };
}
