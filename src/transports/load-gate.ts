/** Milliseconds over which the load is judged; a burst is shorter. */
const INTERVAL = 100;

/** A server that is idle for less than this part of its time is busy. */
const IDLE_SHARE = 0.25;

/** Milliseconds for which a busy server takes up the calls of one turn, where calls are costly. */
const TURN = 20;

/** Decides which calls are taken up. */
export interface LoadGate {
  /** Whether a call that could be read just now is taken up, and not refused. */
  admits(): boolean;
}

export interface LoadGateOptions {
  /** The most calls that a busy server takes up in one turn of the event loop. */
  readonly turnCalls: number;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Milliseconds that the event loop has had nothing to do, since it began. */
  readonly idle: () => number;
  /** Runs `work` once, when the present turn of the event loop has seen all that could be read. */
  readonly afterTurn: (work: () => void) => void;
}

/**
 * Refuses calls by how long they wait. All calls of one turn of the event loop could be read when
 * it began, so each waits for those before it, and those that come meanwhile wait for the rest of
 * the turn. A busy server takes up so many in a turn, for TURN at the most, and refuses the others:
 * so no call waits for more than two such turns. The first of a turn is always taken up.
 *
 * A queue that goes away by itself is a burst, one that stands is overload: so the rule holds only
 * while the server has been busy for INTERVAL. That, and the interval, are CoDel's (RFC 8289, 3.2
 * and 4.2); B. Maurer has them for servers ("Fail at Scale", ACM Queue 13(8), 2015).
 */
export function createLoadGate({ turnCalls, clock, idle, afterTurn }: LoadGateOptions): LoadGate {
  let isBusy = false;
  let since = clock();
  let idleBefore = idle();
  let isTurn = false;
  let turnStart = 0;
  let calls = 0;

  const endTurn = () => {
    isTurn = false;
  };

  const judge = (now: number) => {
    const idleNow = idle();
    isBusy = idleNow - idleBefore < (now - since) * IDLE_SHARE;
    since = now;
    idleBefore = idleNow;
  };

  return {
    admits() {
      if (isTurn) {
        calls++;
        return !isBusy || (calls <= turnCalls && clock() - turnStart < TURN);
      }
      isTurn = true;
      turnStart = clock();
      calls = 1;
      afterTurn(endTurn);
      if (turnStart - since >= INTERVAL) judge(turnStart);
      return true;
    },
  };
}
