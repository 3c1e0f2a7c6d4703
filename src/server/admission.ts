import type { Config } from "../config/config.js";
import { type Admission, createAdmission } from "../transports/call/admission.js";
import type { CallObserver } from "../transports/call/calls.js";
import { createLoadGate, type LoadGate } from "../transports/call/load-gate.js";
import { createPace, type Pace } from "../transports/call/pace.js";

/**
 * What callers without credentials take of the event loop: 2,000 answers a second, a tenth of it.
 * What waits is answered within two seconds.
 */
const STRANGERS = { tick: 5, perTick: 10, maxWaiting: 4_096 };

export interface CallAdmission {
  /** Decides which calls are taken up. */
  readonly admission: Admission;
  /** Paces the answers to callers without credentials. */
  readonly strangers: Pace;
  stop(): void;
}

/** Starts what admits calls: by the load, unless another gate is given or the setting is off. */
export function startAdmission(
  { turnCalls }: Pick<Config, "turnCalls">,
  observer: CallObserver,
  clock: () => number,
  given: LoadGate | undefined,
): CallAdmission {
  const after = (milliseconds: number, work: () => void) =>
    void setTimeout(work, milliseconds).unref();
  let judging: NodeJS.Timeout | undefined;
  const byLoad = (calls: number) =>
    createLoadGate({
      turnCalls: calls,
      clock,
      idle: () => performance.nodeTiming.idleTime,
      spent() {
        const { user, system } = process.cpuUsage();
        return (user + system) / 1000;
      },
      every: (milliseconds, work) => {
        judging = setInterval(work, milliseconds).unref();
      },
      afterTurn: setImmediate,
    });
  const gate = given ?? (turnCalls === null ? { admits: () => true } : byLoad(turnCalls));
  return {
    admission: createAdmission({ gate, observer, after }),
    strangers: createPace({ ...STRANGERS, after }),
    stop: () => clearInterval(judging),
  };
}
