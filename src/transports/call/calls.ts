import type { Logger } from "pino";
import { type ErrorCode, internalError, LatchkeyError } from "../../domain/error.js";
import type { MaybePromise } from "../../lib/maybe-promise.js";
import { createSparseLog } from "../../lib/sparse-log.js";

export type Transport = "grpc" | "connect" | "http" | "command";

/** How a call ended: `cancelled` if its caller left before its answer was made. */
export type Outcome = ErrorCode | "ok" | "cancelled";

/** What had no time or room for a refused call: the event loop, the writer of the store, or memory. */
export type Bottleneck = "event_loop" | "store" | "memory";

export interface CallObserver {
  /** Watches a method on a wire: what it answers is told of every call that was answered. */
  watch(transport: Transport, method: string): (outcome: Outcome, seconds: number) => void;
  /** A call was refused because the server is overloaded. */
  refused(transport: Transport, bottleneck: Bottleneck): void;
}

/** The method of calls of which nobody knows it. */
const UNKNOWN = "unknown";

/** What a call answers whose caller has left. */
export const CANCELLED = Symbol("cancelled");

/** The latest call that was not served for a reason. */
interface NotServed {
  readonly transport: Transport;
  readonly method: string;
  /** What the fault behind it says, if there is one. */
  readonly cause: string | undefined;
}

export interface CallsOptions {
  readonly observer: CallObserver;
  readonly logger: Logger;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
}

/** Runs `call(input)`. */
export type RunCall = <I, T>(call: (input: I) => MaybePromise<T>, input: I) => MaybePromise<T>;

export type Calls = ReturnType<typeof createCalls>;

/**
 * What every wire does around every call: measures it, and makes whatever it
 * throws an error that a caller may see. An unknown error becomes `internal`
 * without a word of it; its cause goes to the log, here and nowhere else.
 */
export function createCalls({ observer, logger, clock }: CallsOptions) {
  const isDebug = logger.isLevelEnabled("debug");

  // A full disk refuses every write: one line tells of all, and who wants the stack asks for debug.
  const notServed = createSparseLog<NotServed>({
    clock,
    emit: (reason, { transport, method, cause }, count) =>
      logger.warn({ transport, method, reason, cause, count }, "call not served"),
  });

  const toCallerError = (error: unknown, transport: Transport, method: string): LatchkeyError => {
    if (error instanceof LatchkeyError) {
      if (error.code === "unavailable") {
        const { cause } = error;
        const text = cause instanceof Error ? cause.message : undefined;
        notServed.note(error.message, { transport, method, cause: text });
        if (isDebug) logger.debug({ transport, method, err: cause ?? error }, "call not served");
      }
      if (error.code === "overloaded") observer.refused(transport, "store");
      return error;
    }
    logger.error({ transport, method, err: error }, "call failed");
    return internalError();
  };

  /** What is told of every call of a method that was answered. */
  const watch = (transport: Transport, method: string) => {
    const observe = observer.watch(transport, method);
    return (code: Outcome, start: number) => {
      const seconds = (clock() - start) / 1000;
      observe(code, seconds);
      if (isDebug) logger.debug({ transport, method, code, seconds }, "call answered");
    };
  };

  return {
    /**
     * What makes an error of a call that is refused before it is known which it is, and counts it:
     * all of a wire under one name.
     */
    refusals(transport: Transport): (error: unknown) => LatchkeyError {
      const answered = watch(transport, UNKNOWN);
      return (error) => {
        const shown = toCallerError(error, transport, UNKNOWN);
        answered(shown.code, clock());
        return shown;
      };
    },

    /** What runs the calls of one method. It throws, or rejects with, a LatchkeyError only. */
    of(transport: Transport, method: string): RunCall {
      const answered = watch(transport, method);
      const fail = (error: unknown, start: number): never => {
        const shown = toCallerError(error, transport, method);
        answered(shown.code, start);
        throw shown;
      };
      return <I, T>(call: (input: I) => MaybePromise<T>, input: I): MaybePromise<T> => {
        const start = clock();
        let answer: MaybePromise<T>;
        try {
          answer = call(input);
        } catch (error) {
          return fail(error, start);
        }
        if (!(answer instanceof Promise)) {
          answered("ok", start);
          return answer;
        }
        return answer.then(
          (value) => {
            answered(value === CANCELLED ? "cancelled" : "ok", start);
            return value;
          },
          (error) => fail(error, start),
        );
      };
    },
  };
}
