import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { type Server, type StatusObject, status } from "@grpc/grpc-js";
import { LatchkeyError, overloaded } from "../../domain/error.js";
import type { MaybePromise } from "../../lib/maybe-promise.js";
import type { CallerSession } from "../../services/access/connections.js";
import type { Admission } from "../call/admission.js";
import type { ByteBudget, Charge } from "../call/byte-budget.js";
import type { CallObserver, Calls } from "../call/calls.js";
import type { Pace } from "../call/pace.js";
import type { IsPublic } from "../net/listener.js";
import { beginFrames, type Frames, isWithin, pushPart, takeMessage } from "./http2/frames.js";
import {
  type AdmitHeaders,
  endStream,
  ignoreError,
  interceptStreams,
  resetStream,
  streamOf,
} from "./http2/streams.js";
import { toStatus } from "./methods/unary.js";
import {
  createPublicCalls,
  PUBLIC_CALLS,
  PUBLIC_MESSAGE,
  publicPartOf,
  REFLECTION,
} from "./public-calls.js";

/** Milliseconds in which a message must be whole, as a request by HTTP. */
const MESSAGE_TIME = 30_000;

/**
 * Calls that a connection may have at a time until one of them was by a caller who is known, and then.
 * HTTP/2 refuses the others before we hear of them.
 */
export const STRANGERS_CALLS = 32;
const MOST_CALLS = 1_024;

const INTAKE = Symbol("intake");

/** A call of which the request is being received, or was. */
interface Intake {
  /** Undefined where nobody asked. */
  readonly caller: CallerSession | null | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly frames: Frames;
  readonly charge: Charge | null;
  /** `stream`: its handler says which messages it has `taken`. */
  readonly kind: "unary" | "stream" | "reflection";
}

type Stream = ServerHttp2Stream & { [INTAKE]?: Intake };

export interface IntakeOptions {
  readonly server: Server;
  /** Bytes of a message. */
  readonly maxMessage: number;
  /** The paths of RPCs whose requests are streams, and whose handlers say which they have `taken`. */
  readonly streaming: ReadonlySet<string>;
  /** Who calls by this socket; throws or rejects with LatchkeyError. */
  readonly identify: (
    socket: object | undefined,
    headers: IncomingHttpHeaders,
  ) => MaybePromise<CallerSession | null>;
  /** The address that a call by this socket comes from; empty if the socket has gone. */
  readonly hostOf: (socket: Socket | undefined, headers: IncomingHttpHeaders) => string;
  readonly isPublic: IsPublic;
  readonly calls: Calls;
  readonly observer: Pick<CallObserver, "refused">;
  readonly admission: Admission;
  /** When strangers are answered, by their connections. */
  readonly strangers: Pace;
  readonly budget: ByteBudget;
  /** Whether a call may begin with such a header list. */
  readonly admits: AdmitHeaders;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
}

export type GrpcIntake = ReturnType<typeof createIntake>;

/**
 * Takes up calls: finds out from the metadata who makes one before anything of its messages is read,
 * refuses strangers, and sees to it that messages are whole in time and do not take too much memory.
 */
export function createIntake(options: IntakeOptions) {
  const { server, maxMessage, streaming, identify, hostOf, isPublic, calls, observer } = options;
  const { admission, strangers, budget, clock } = options;
  const toCallerError = calls.refusals("grpc");
  const overload = toStatus(overloaded());
  /** Since when (ms) calls have waited for the rest of a message, the longest first. */
  const unfinished = new Map<Stream, number>();
  const publicCalls = createPublicCalls();

  /** Does what a stranger asks for when it is its turn, and resets its call where too many wait. */
  const inTurn = (stream: Stream, work: () => void) => {
    if (!strangers(socketOf(stream), work)) resetStream(stream);
  };
  const refuseStranger = (stream: Stream, reason: unknown) =>
    inTurn(stream, () => endStream(stream, toStatus(toCallerError(reason))));

  // Listeners for all streams, which find what they need at theirs: every call pays for its own.
  function onData(this: Stream, part: Buffer): void {
    const { [INTAKE]: intake } = this;
    if (!intake || this.writableEnded) return;
    const { frames, charge, kind } = intake;
    const begun = pushPart(frames, part, maxMessage);
    if (charge ? begun > 0 && !charge.add(begun) : begun > PUBLIC_MESSAGE) {
      if (charge) observer.refused("grpc", "memory");
      endStream(this, charge ? overload : tooLarge());
    } else if (kind !== "unary") {
      const isPart = isWithin(frames);
      // Reflection answers each message when it is whole.
      if (kind === "reflection" && !isPart) charge?.end();
      if (!isPart) unfinished.delete(this);
      // Ours end by themselves when nothing moves; what they do not take must not be held against them.
      else if (kind === "reflection" && !unfinished.has(this)) unfinished.set(this, clock());
    }
  }
  function onClose(this: Stream): void {
    unfinished.delete(this);
    this[INTAKE]?.charge?.end();
  }

  /** Waits for messages, and hands the call to grpc-js. */
  const begin = (
    stream: Stream,
    headers: IncomingHttpHeaders,
    caller: Intake["caller"],
    charge: Charge | null,
  ) => {
    const { ":path": path = "" } = headers;
    const isOurs = streaming.has(path);
    const kind = isOurs ? "stream" : path.startsWith(REFLECTION) ? "reflection" : "unary";
    stream[INTAKE] = { caller, headers, charge, kind, frames: beginFrames(isOurs) };
    unfinished.set(stream, clock());
    stream.on("data", onData).on("close", onClose);
    proceed(stream, headers);
  };

  const { connect, socketOf, allow, proceed } = interceptStreams(
    server,
    options.admits,
    (stream: Stream, headers) => {
      const { ":path": path = "" } = headers; // CONNECT has none.
      stream.on("error", ignoreError); // Until grpc-js listens.
      const part = publicPartOf(path);
      if (part && isPublic(part)) {
        inTurn(stream, () => {
          if (stream.destroyed || stream.closed) return;
          if (!publicCalls.add(stream)) endStream(stream, tooMany());
          else begin(stream, headers, undefined, null);
        });
        return;
      }
      const socket = socketOf(stream);
      const enter = (caller: CallerSession | null) => {
        if (stream.destroyed || stream.closed) return;
        allow(stream, MOST_CALLS);
        if (!admission.admits()) {
          admission.refuse("grpc", () => endStream(stream, overload));
          return;
        }
        begin(stream, headers, caller, budget.open(caller?.account.id ?? socket));
      };
      let caller: MaybePromise<CallerSession | null>;
      try {
        caller = identify(socket, headers);
      } catch (error) {
        refuseStranger(stream, error);
        return;
      }
      if (!(caller instanceof Promise)) {
        enter(caller);
        return;
      }
      caller.then(enter, (error) => refuseStranger(stream, error));
    },
  );

  return {
    connect,

    /** Who makes a call, as it was found before. Throws where nobody asked. */
    callerOf(call: object): CallerSession | null {
      const caller = intakeOf(call)?.caller;
      if (caller !== undefined) return caller;
      throw new LatchkeyError("unauthenticated", "nobody knows who makes the call");
    },

    /** The address that a call came from. */
    addressOf(call: object): string {
      const stream = streamOf(call) as Stream | undefined;
      const headers = stream?.[INTAKE]?.headers;
      return stream && headers ? hostOf(socketOf(stream), headers) : "";
    },

    /** The oldest message of a stream of requests is held no more. */
    taken(call: object): void {
      const intake = intakeOf(call);
      if (intake) intake.charge?.remove(takeMessage(intake.frames));
    },

    /** Ends the calls whose messages are not whole in time. To be called every second. */
    expire(): void {
      const oldest = clock() - MESSAGE_TIME;
      for (const [stream, since] of unfinished) {
        if (since > oldest) return;
        unfinished.delete(stream);
        // Its request is whole; no listener says so, for every call would pay for it.
        if (!stream.readableEnded) endStream(stream, tooSlow());
      }
    },
  };
}

function intakeOf(call: object): Intake | undefined {
  return (streamOf(call) as Stream | undefined)?.[INTAKE];
}

const tooSlow = (): Partial<StatusObject> => ({
  code: status.DEADLINE_EXCEEDED,
  details: `a message must arrive within ${MESSAGE_TIME / 1000} s`,
});

const tooLarge = () =>
  toStatus(
    new LatchkeyError("limit", `the message must be at most ${PUBLIC_MESSAGE} bytes, unpacked`),
  );

const tooMany = () =>
  toStatus(
    new LatchkeyError("limit", `a connection may have ${PUBLIC_CALLS} such calls at a time`),
  );
