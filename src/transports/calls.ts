import type { Logger } from "pino";
import { type ErrorCode, LatchkeyError } from "../domain/error.js";

export type Transport = "grpc" | "connect" | "http";

/** Told of every call that was answered. */
export interface CallObserver {
  answered(transport: Transport, method: string, code: ErrorCode | "ok", seconds: number): void;
}

export interface CallsOptions {
  readonly observer: CallObserver;
  readonly log: Logger;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
}

export type Calls = ReturnType<typeof createCalls>;

/**
 * What every wire does around every call: measures it, and makes whatever it
 * throws an error that a caller may see. An unknown error becomes `internal`
 * without a word of it; its cause goes to the log, here and nowhere else.
 */
export function createCalls({ observer, log, clock }: CallsOptions) {
  const toCallerError = (error: unknown, transport: Transport, method: string): LatchkeyError => {
    if (error instanceof LatchkeyError) {
      if (error.code === "unavailable") {
        log.warn({ transport, method, err: error.cause ?? error }, "call refused");
      }
      return error;
    }
    log.error({ transport, method, err: error }, "call failed");
    return new LatchkeyError("internal", "internal server error");
  };

  return {
    /** Runs one call. Rejects with a LatchkeyError only. */
    async run<T>(transport: Transport, method: string, call: () => Promise<T>): Promise<T> {
      const start = clock();
      let code: ErrorCode | "ok" = "ok";
      try {
        return await call();
      } catch (error) {
        const shown = toCallerError(error, transport, method);
        code = shown.code;
        throw shown;
      } finally {
        const seconds = (clock() - start) / 1000;
        observer.answered(transport, method, code, seconds);
        if (log.isLevelEnabled("debug")) {
          log.debug({ transport, method, code, seconds }, "call answered");
        }
      }
    },
  };
}
