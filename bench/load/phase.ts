import type { Population, Prepared } from "../data/population.js";
import type { Latencies } from "../report/latencies.js";
import type { Message } from "./grpc-connection.js";

/** What is called of the HTTP API. */
export type CallKind = "get" | "set" | "create";

/** A stretch of load at one rate. */
export interface Phase {
  readonly name: string;
  readonly call: CallKind;
  /** What is called by gRPC, whatever else is said here of calls. */
  readonly message?: Message;
  /** The sessions that are called are the first `among` of the population. */
  readonly population: Population | Prepared;
  readonly among: number;
  /** A text that the data of a set or a create has beside the usual; ASCII without quotes. */
  readonly note?: string;
  /** Headers of each call, beside those that its kind has. */
  readonly headers?: Readonly<Record<string, string>>;
  /** `random`: each call draws one; `each`: all in turn, once, which ends the phase. */
  readonly order: "random" | "each";
  /** Calls a second, each due at an instant of its own; null: as many as the server answers. */
  readonly rate: number | null;
  /** The most calls in flight, each on a connection of its own. */
  readonly connections: number;
  /** What becomes of a call that is due while all connections are busy: it is sent as soon as
   * one is free, its latency counted from when it was due; or it is not made. */
  readonly whenBusy: "wait" | "withhold";
  /** Seconds after which it ends; null: when the next begins, or when it has called each. */
  readonly seconds: number | null;
  /** Milliseconds of each of its windows. */
  readonly window: number;
}

/** What became of the calls that were due in a phase, or in a window of it. */
export interface Outcome {
  /** Answered with what was asked for; from when each was due. */
  readonly accepted: Latencies;
  /** Answered by 429 or 503. */
  readonly refused: number;
}

export interface Window extends Outcome {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** As of a phase. */
  readonly stolen: number;
}

export interface PhaseResult extends Outcome {
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly seconds: number;
  readonly due: number;
  readonly withheld: number;
  readonly refusals: Latencies;
  readonly refusedWithRetryAfter: number;
  /** Calls with any other answer or none, by what came instead. */
  readonly failures: Readonly<Record<string, number>>;
  /** Of the sender: from when a call was due and a connection free, to when it was sent. */
  readonly lateness: Latencies;
  /** Share of the time for which the sender's event loop was busy: near 1, it is the bottleneck. */
  readonly senderBusy: number;
  /** Share of the machine's time that its host gave to others: latencies are then not the server's alone. */
  readonly stolen: number;
  /** The longest time (ms) without an accepted call's answer. */
  readonly longestGap: number;
  readonly windows: readonly Window[];
}
