import type { CallObserver, Transport } from "./calls.js";
import type { LoadGate } from "./load-gate.js";

/** Refusals are answered in ticks of this many milliseconds, */
const TICK = 10;
/** and so many in each: 5,000 a second, about a tenth of the server's time. */
const PER_TICK = 50;
/** Refused calls that wait for their answers; beyond them the answer comes at once. */
const MAX_HELD = 8_192;

/** What the wires ask before they do anything for a call. */
export interface Admission {
  /** Whether a call is taken up, and not given to `refuse`. */
  admits(): boolean;
  /** Calls `answer`, which tells the caller and must not throw, within two seconds. */
  refuse(transport: Transport, answer: () => void): void;
}

export interface AdmissionOptions {
  readonly gate: LoadGate;
  readonly observer: Pick<CallObserver, "refused">;
  /** Runs `work` once, in so many milliseconds. */
  readonly after: (milliseconds: number, work: () => void) => void;
}

/**
 * Lets in what the gate admits, and answers what it does not: at once while refusals are few. Of
 * a client that sends the next call as soon as one is refused, refusing takes half the time that
 * serving takes, and little would be left to serve in. So beyond PER_TICK the answers wait, oldest
 * first, and with them the calls that their clients have yet to send.
 */
export function createAdmission({ gate, observer, after }: AdmissionOptions): Admission {
  let held: (() => void)[] = [];
  let room = PER_TICK;
  let isTicking = false;

  const tick = () => {
    isTicking = room < PER_TICK;
    if (!isTicking) return;
    after(TICK, tick);
    const due = held.slice(0, PER_TICK);
    held = held.slice(PER_TICK);
    room = PER_TICK - due.length;
    for (const answer of due) answer();
  };

  return {
    admits: gate.admits,
    refuse(transport, answer) {
      observer.refused(transport, "event_loop");
      if (!isTicking) {
        isTicking = true;
        after(TICK, tick);
      }
      if (room > 0) room--;
      else if (held.length < MAX_HELD) {
        held.push(answer);
        return;
      }
      answer();
    },
  };
}
