import { createOverloadJudge } from "../../lib/overload.js";

/** Milliseconds over which the load is measured. */
const INTERVAL = 100;

/**
 * Milliseconds of the process's own processor time: what 5,000 calls of any kind take, twice over.
 * By its own, so that a burst is none the longer where other programs have the processor.
 */
const PATIENCE = 2_000;

/** A server that is idle for less than this part of its time is busy. */
const IDLE_SHARE = 0.25;

/** Decides which calls are taken up. */
export interface LoadGate {
  /** Whether a call that could be read just now is taken up, and not refused. */
  admits(): boolean;
}

export interface LoadGateOptions {
  /** The most calls that an overloaded server takes up in one turn of the event loop. */
  readonly turnCalls: number;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Milliseconds that the event loop has had nothing to do, since it began. */
  readonly idle: () => number;
  /** Milliseconds that the process has had a processor. */
  readonly spent: () => number;
  /** Runs `work` every so many milliseconds. */
  readonly every: (milliseconds: number, work: () => void) => void;
  /** Runs `work` once, when the present turn of the event loop has seen all that could be read. */
  readonly afterTurn: (work: () => void) => void;
}

/**
 * Refuses calls by how long they would wait. All calls of one turn of the event loop could be read
 * when it began, so each waits for those before it, and those that come meanwhile wait for the rest
 * of the turn. An overloaded server takes up so many in a turn and refuses the others: so none waits
 * for more than two such turns. By number and not by time, for a system that takes the processor
 * away for a while would seem to have made calls costly.
 *
 * A server without time to spare is one whose queue of calls does not empty. That is overload once
 * it has lasted (`createOverloadJudge`; docs/decisions/admission-by-time.md). B. Maurer has CoDel
 * for servers ("Fail at Scale", ACM Queue 13(8), 2015).
 */
export function createLoadGate(options: LoadGateOptions): LoadGate {
  const { turnCalls, clock, idle, spent, every, afterTurn } = options;
  const judge = createOverloadJudge({ patience: PATIENCE, spent, clock });
  let isOverloaded = false;
  let since = clock();
  let idleBefore = idle();
  let calls = 0;

  every(INTERVAL, () => {
    const now = clock();
    const idleNow = idle();
    isOverloaded = judge(idleNow - idleBefore < (now - since) * IDLE_SHARE);
    since = now;
    idleBefore = idleNow;
  });

  const endTurn = () => {
    calls = 0;
  };

  return {
    admits() {
      // Turns are counted only then: to be told of their ends takes time that many small turns lack.
      if (!isOverloaded) return true;
      if (calls === 0) afterTurn(endTurn);
      calls++;
      return calls <= turnCalls;
    },
  };
}
