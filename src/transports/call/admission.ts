import type { CallObserver, Transport } from "./calls.js";
import type { LoadGate } from "./load-gate.js";
import { createPace, type PaceOptions } from "./pace.js";

/**
 * 5,000 refusals a second, about a tenth of the server's time. Beyond what may wait, the answer comes
 * at once.
 */
const PACE = { tick: 10, perTick: 50, maxWaiting: 8_192 };

/** What the wires ask before they do anything for a call. */
export interface Admission {
  /** Whether a call is taken up, and not given to `refuse`. */
  admits(): boolean;
  /** Calls `answer`, which tells the caller and must not throw, within two seconds. */
  refuse(transport: Transport, answer: () => void): void;
}

export interface AdmissionOptions extends Pick<PaceOptions, "after"> {
  readonly gate: LoadGate;
  readonly observer: Pick<CallObserver, "refused">;
}

/**
 * Lets in what the gate admits, and answers what it does not: at once while refusals are few. Of
 * a client that sends the next call as soon as one is refused, refusing takes half the time that
 * serving takes, and little would be left to serve in. So beyond a pace the answers wait, oldest
 * first, and with them the calls that their clients have yet to send.
 */
export function createAdmission({ gate, observer, after }: AdmissionOptions): Admission {
  const pace = createPace({ ...PACE, after });
  return {
    admits: gate.admits,
    refuse(transport, answer) {
      observer.refused(transport, "event_loop");
      if (!pace(null, answer)) answer();
    },
  };
}
