import type { IncomingMessage, ServerResponse } from "node:http";
import type { MaybePromise } from "../../../lib/maybe-promise.js";
import type { CallerSession } from "../../../services/access/connections.js";
import type { Calls } from "../../call/calls.js";
import type { Pace } from "../../call/pace.js";
import type { IsPublic, PublicPart } from "../../net/listener.js";
import { createErrorAnswers, isConnect } from "../answers/error-answers.js";
import { OPERATIONS } from "../requests/operation-paths.js";
import { pathOf } from "../requests/request-path.js";
import { createDiscards } from "../requests/unread-body.js";

/** Bodies of strangers that are read at a time, to be thrown away. */
const STRANGERS_BODIES = 16;

const CALLER = Symbol("caller");

/** A request with what was found out about its caller. */
type Request = IncomingMessage & { [CALLER]?: CallerSession | null };

export interface CallerCheckOptions {
  /** Who made a request, by its connection and headers; throws or rejects with LatchkeyError. */
  readonly identify: (request: IncomingMessage) => MaybePromise<CallerSession | null>;
  readonly isPublic: IsPublic;
  readonly calls: Calls;
  /** When strangers are answered, by their connections. */
  readonly strangers: Pace;
}

export type CallerCheck = ReturnType<typeof createCallerCheck>;

/**
 * Finds out from the headers who makes a request, before anything of its body is read. A stranger
 * is refused at once, in the form of the API that the request is for, and what comes of the body
 * is thrown away.
 */
export function createCallerCheck(options: CallerCheckOptions) {
  const { identify, isPublic, calls, strangers } = options;
  const discardBody = createDiscards(STRANGERS_BODIES);
  const refusals = { http: calls.refusals("http"), connect: calls.refusals("connect") };

  const isOpen = ({ method, url = "" }: IncomingMessage): boolean => {
    // What is public takes no body.
    if (method !== "GET" && method !== "HEAD") return false;
    const part: PublicPart | undefined = OPERATIONS.get(pathOf(url));
    return part !== undefined && isPublic(part);
  };

  const answer = (request: IncomingMessage, response: ServerResponse, reason: unknown): void => {
    if (response.destroyed) return;
    const toCallerError = refusals[isConnect(request) ? "connect" : "http"];
    const { status, headers, body } = createErrorAnswers(toCallerError(reason))(request);
    response.writeHead(status, headers).end(body);
    discardBody(request, (isWhole) => {
      if (!isWhole) request.socket.destroy();
    });
  };

  /** Does what a stranger asks for when it is its turn, and ends its connection where too many wait. */
  const inTurn = ({ socket }: IncomingMessage, work: () => void) => {
    if (!strangers(socket, work)) socket.destroy();
  };

  const refuse = (request: IncomingMessage, response: ServerResponse, reason: unknown) =>
    inTurn(request, () => answer(request, response, reason));

  return {
    /** Calls `next` with the request of a caller who is known, and of one whom nobody asks. */
    check(request: Request, response: ServerResponse, next: () => void): void {
      if (isOpen(request)) {
        inTurn(request, next);
        return;
      }
      const proceed = (caller: CallerSession | null) => {
        request[CALLER] = caller;
        next();
      };
      let caller: MaybePromise<CallerSession | null>;
      try {
        caller = identify(request);
      } catch (error) {
        refuse(request, response, error);
        return;
      }
      if (!(caller instanceof Promise)) {
        proceed(caller);
        return;
      }
      caller.then(
        (found) => {
          if (!response.destroyed) proceed(found);
        },
        (error) => refuse(request, response, error),
      );
    },

    /** To whom what a request holds is counted: its account, or its connection. */
    ownerOf: (request: Request): unknown => request[CALLER]?.account.id ?? request.socket,

    /** Who made a request, as it was found before. */
    callerOf(request: Request): MaybePromise<CallerSession | null> {
      const known = request[CALLER];
      return known === undefined ? identify(request) : known;
    },
  };
}
