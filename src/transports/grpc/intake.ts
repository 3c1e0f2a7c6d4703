import type { ServerHttp2Stream } from "node:http2";
import { type Server, type StatusObject, status } from "@grpc/grpc-js";
import type { Awaitable } from "../../domain/awaitable.js";
import { LatchkeyError, overloaded } from "../../domain/error.js";
import type { CallerSession } from "../../services/connections.js";
import type { ByteBudget, Charge } from "../byte-budget.js";
import { headerReader, type ReadHeader } from "../call-origin.js";
import type { CallObserver, Calls } from "../calls.js";
import type { IsPublic } from "../listener.js";
import { createFrames, type Frames } from "./frames.js";
import { endStream, interceptStreams, streamOf } from "./http2-streams.js";
import {
  createPublicCalls,
  PUBLIC_CALLS,
  PUBLIC_MESSAGE,
  publicPartOf,
  REFLECTION,
} from "./public-calls.js";
import { toStatus } from "./unary.js";

/** Milliseconds in which a message must be whole, as a request by HTTP. */
const MESSAGE_TIME = 30_000;

const INTAKE = Symbol("intake");

/** A call of which the request is being received, or was. */
interface Intake {
  /** Undefined where nobody asked. */
  readonly caller: CallerSession | null | undefined;
  readonly frames: Frames;
  readonly charge: Charge | null;
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
    header: ReadHeader,
  ) => Awaitable<CallerSession | null>;
  readonly isPublic: IsPublic;
  readonly calls: Calls;
  readonly observer: Pick<CallObserver, "refused">;
  readonly budget: ByteBudget;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
}

export type GrpcIntake = ReturnType<typeof createIntake>;

/**
 * Takes up calls: finds out from the metadata who makes one before anything of its messages is read,
 * refuses strangers, and sees to it that messages are whole in time and do not take too much memory.
 */
export function createIntake(options: IntakeOptions) {
  const { server, maxMessage, streaming, identify, isPublic, calls, observer, budget, clock } =
    options;
  const toCallerError = calls.refusals("grpc");
  const overload = toStatus(overloaded());
  /** Since when (ms) calls have waited for the rest of a message, the longest first. */
  const unfinished = new Map<Stream, number>();
  const publicCalls = createPublicCalls();

  const refuseStranger = (stream: Stream, reason: unknown) =>
    endStream(stream, toStatus(toCallerError(reason)));

  /** Waits for messages, and hands the call to grpc-js. */
  const begin = (
    stream: Stream,
    path: string,
    { caller, charge }: Pick<Intake, "caller" | "charge">,
    proceed: () => void,
  ) => {
    const isOurs = streaming.has(path);
    const isReflection = path.startsWith(REFLECTION);
    const frames = createFrames(maxMessage, isOurs);
    stream[INTAKE] = { caller, charge, frames };
    unfinished.set(stream, clock());
    stream.on("data", (part: Buffer) => {
      if (stream.writableEnded) return;
      const begun = frames.push(part);
      if (charge ? begun > 0 && !charge.add(begun) : begun > PUBLIC_MESSAGE) {
        if (charge) observer.refused("grpc", "memory");
        endStream(stream, charge ? overload : tooLarge());
      } else if (isOurs || isReflection) {
        // Reflection answers each message when it is whole.
        if (isReflection && !frames.isWithin()) charge?.end();
        if (!frames.isWithin()) unfinished.delete(stream);
        // Ours end by themselves when nothing moves; what they do not take must not be held against them.
        else if (isReflection && !unfinished.has(stream)) unfinished.set(stream, clock());
      }
    });
    stream.on("end", () => unfinished.delete(stream));
    stream.on("close", () => {
      unfinished.delete(stream);
      charge?.end();
    });
    proceed();
  };

  const { connect, socketOf } = interceptStreams(server, (stream: Stream, headers, proceed) => {
    const { ":path": path = "" } = headers; // CONNECT has none.
    // Until grpc-js listens, too.
    stream.on("error", ignore);
    const part = publicPartOf(path);
    if (part && isPublic(part)) {
      if (!publicCalls.add(stream)) endStream(stream, tooMany());
      else begin(stream, path, { caller: undefined, charge: null }, proceed);
      return;
    }
    const socket = socketOf(stream);
    const enter = (caller: CallerSession | null) => {
      if (stream.destroyed || stream.closed) return;
      const charge = budget.open(caller?.account.id ?? socket);
      begin(stream, path, { caller, charge }, proceed);
    };
    let caller: Awaitable<CallerSession | null>;
    try {
      caller = identify(socket, headerReader(headers));
    } catch (error) {
      refuseStranger(stream, error);
      return;
    }
    if (!(caller instanceof Promise)) enter(caller);
    else caller.then(enter, (error) => refuseStranger(stream, error));
  });

  return {
    connect,

    /** Who makes a call, as it was found before. Throws where nobody asked. */
    callerOf(call: object): CallerSession | null {
      const caller = intakeOf(call)?.caller;
      if (caller !== undefined) return caller;
      throw new LatchkeyError("unauthenticated", "nobody knows who makes the call");
    },

    /** The oldest message of a stream of requests is held no more. */
    taken(call: object): void {
      const intake = intakeOf(call);
      intake?.charge?.remove(intake.frames.take());
    },

    /** Ends the calls whose messages are not whole in time. To be called every second. */
    expire(): void {
      const oldest = clock() - MESSAGE_TIME;
      for (const [stream, since] of unfinished) {
        if (since > oldest) return;
        unfinished.delete(stream);
        endStream(stream, tooSlow());
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

/** An error of a stream is followed by its `close`. */
function ignore(): void {}
