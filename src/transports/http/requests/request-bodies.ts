import type { IncomingMessage, ServerResponse } from "node:http";
import type { FastifyRequest } from "fastify";
import { overloaded } from "../../../domain/error.js";
import type { ByteBudget, Charge } from "../../call/byte-budget.js";
import type { CallObserver } from "../../call/calls.js";
import { isConnect } from "../answers/error-answers.js";

const CHARGE = Symbol("charge");

/** A request with what its body is counted by. */
type Request = IncomingMessage & { [CHARGE]?: Charge };

/** Gets the body, or why there is none. */
type Done = (error: Error | null, body?: Buffer) => void;

export interface RequestBodiesOptions {
  readonly budget: ByteBudget;
  /** To whom a request's bytes are counted. */
  readonly ownerOf: (request: IncomingMessage) => unknown;
  /** Gets notice of requests that are refused for what they would take of memory. */
  readonly observer: Pick<CallObserver, "refused">;
}

export type RequestBodies = ReturnType<typeof createRequestBodies>;

/** Reads bodies as far as there is memory for them. They count until their requests are answered. */
export function createRequestBodies({ budget, ownerOf, observer }: RequestBodiesOptions) {
  const add = (request: Request, bytes: number): Error | null => {
    if (bytes === 0 || request[CHARGE]?.add(bytes)) return null;
    observer.refused(isConnect(request) ? "connect" : "http", "memory");
    return overloaded();
  };

  return {
    /** To be called before a request that has a body is handled. */
    open(request: Request, response: ServerResponse): void {
      const { "content-length": length, "transfer-encoding": encoding } = request.headers;
      if (encoding === undefined && (length === undefined || length === "0")) return;
      const charge = budget.open(ownerOf(request));
      request[CHARGE] = charge;
      response.on("close", () => charge.end());
    },

    /** Counts what a body unpacks to; answers why it may not, if so. */
    unpack: ({ raw }: FastifyRequest, bytes: number): Error | null => add(raw, bytes),

    /**
     * Reads a body of at most `limit` bytes: counted as it says, or as it comes. A longer one is an
     * error with the status 413.
     */
    read({ raw }: FastifyRequest, payload: IncomingMessage, limit: number, done: Done): void {
      const { "content-length": length } = raw.headers;
      const announced = length === undefined ? null : Number(length);
      const refusal = (announced ?? 0) > limit ? tooLarge() : add(raw, announced ?? 0);
      if (refusal) {
        done(refusal);
        return;
      }
      const parts: Buffer[] = [];
      let bytes = 0;
      const stop = (error: Error | null) => {
        payload.off("data", take).off("end", end).off("error", stop);
        if (error) done(error);
        else done(null, Buffer.concat(parts, bytes));
      };
      const end = () => stop(null);
      const take = (part: Buffer) => {
        bytes += part.length;
        const refused =
          bytes > limit ? tooLarge() : announced === null ? add(raw, part.length) : null;
        if (refused) stop(refused);
        else parts.push(part);
      };
      payload.on("data", take).on("end", end).on("error", stop);
      payload.resume();
    },
  };
}

function tooLarge(): Error {
  return Object.assign(new Error("the body is too large"), { statusCode: 413 });
}
