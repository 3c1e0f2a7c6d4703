import type { Logger } from "pino";
import { createSteadyClock } from "../lib/steady-clock.js";
import type { StartOptions } from "./options.js";

export interface Clocks {
  /** The system's wall clock: milliseconds since 1970. */
  readonly wallClock: () => number;
  /** The wall clock, but for its jumps. */
  readonly now: () => number;
  /** The instant up to which what expired may be removed; null while the wall clock is in doubt. */
  readonly removalTime: () => number | null;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
}

/** Opens the clocks; logs when the system's jumps, and when it is believed again. */
export function openClocks(
  options: Pick<StartOptions, "now" | "monotonic">,
  logger: Logger,
): Clocks {
  const wallClock = options.now ?? Date.now;
  const clock = () => performance.now();
  const { now, removalTime } = createSteadyClock({
    now: wallClock,
    clock: options.monotonic ?? options.now ?? clock,
    onJump: (milliseconds) =>
      logger.warn(
        { milliseconds },
        "the system's clock jumped: until it has agreed with the monotonic clock for 5 minutes, time is told by that, and nothing that expired is removed",
      ),
    onAgreement: (milliseconds) =>
      logger.info({ milliseconds }, "the system's clock is believed again"),
  });
  return { wallClock, now, removalTime, clock };
}
