import { LatchkeyError } from "../../../src/domain/error.js";
import { createFairQueue, type FairQueueOptions } from "../../../src/services/logins/fair-queue.js";
import { PASSWORD_LIMITS } from "../../../src/services/logins/passwords.js";
import { createThrottle } from "../../../src/services/logins/throttle.js";

/** Milliseconds that a check takes on the trial's clock. */
export const CHECK = 50;

export type Outcome = "waiting" | "right" | "wrong" | "refused";

/** A login that was tried, and what became of it so far. */
export interface TriedLogin {
  readonly address: string;
  readonly startedAt: number;
  outcome: Outcome;
  endedAt: number;
}

/** The throttle and the queue of checks as `authentication.ts` uses them, on a clock that is moved. */
export function createLoginTrial(limits: FairQueueOptions = PASSWORD_LIMITS, maxEntries = 50_000) {
  const clock = { now: 1_000_000 };
  const throttle = createThrottle({ clock: () => clock.now, maxEntries });
  const inTurn = createFairQueue(limits);
  let running: (() => void)[] = [];

  /** Lets everything that is ready to run, run. */
  const settle = () => new Promise<void>(setImmediate);

  return {
    clock,
    throttle,
    logIn(address: string, name: string, isRight: boolean): TriedLogin {
      const login: TriedLogin = {
        address,
        startedAt: clock.now,
        outcome: "waiting",
        endedAt: clock.now,
      };
      const end = (outcome: Outcome) => {
        login.outcome = outcome;
        login.endedAt = clock.now;
      };
      let attempt: ReturnType<typeof throttle.byName>;
      try {
        attempt = throttle.byName(address, name);
      } catch (error) {
        if (!(error instanceof LatchkeyError)) throw error;
        end("refused");
        return login;
      }
      inTurn(attempt.turn, () => new Promise<void>((resolve) => running.push(resolve))).then(
        () => {
          if (isRight) attempt.succeeded();
          end(isRight ? "right" : "wrong");
        },
        () => {
          attempt.abandoned();
          end("refused");
        },
      );
      return login;
    },
    settle,
    /** The time of one check passes: those that run end, and the next begin. */
    async pass() {
      await settle();
      clock.now += CHECK;
      const ended = running;
      running = [];
      for (const end of ended) end();
      await settle();
    },
  };
}

export type LoginTrial = ReturnType<typeof createLoginTrial>;
