import { clone, create, type DescMessage, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { SessionService } from "../latchkey/session/v1/session_service_pb.js";
import { createBreaker } from "./breaker.js";
import { LatchkeyError, toLatchkeyError } from "./error.js";
import { withToJson } from "./json-answer.js";
import { withJsonData } from "./json-data.js";
import { isRefused } from "./unavailable.js";

/** Calls that change nothing but a session's idle time may be made again. */
const READ = /^(Get|List|BatchGet|Count|Discover)/;
/** Milliseconds; the wait before attempt n + 1 is anything up to this times 2^(n-1). */
const BACKOFF = 200;
/** Milliseconds; no wait between two attempts of a call is longer. */
const MAX_WAIT = 1_000;
/** Milliseconds that a call tries where nothing listens, such as while a server is restarted. */
const REFUSED_FOR = 300;
/** Milliseconds that a unary call may take unless it says otherwise. */
export const DEADLINE = 5_000;

export interface PolicyOptions {
  /** An API key, sent with every call. */
  readonly key?: string | undefined;
  /** Milliseconds that a unary call may take, unless it says otherwise; 5,000 by default. */
  readonly deadline?: number | undefined;
}

/** What the policy needs of its surroundings. */
export interface Surroundings {
  /** Milliseconds. */
  readonly now: () => number;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** Resolves after this time (ms), or when the signal is aborted. */
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
}

/**
 * A transport that authenticates its calls, gives unary ones a deadline, and makes them again where
 * that is safe: reads, and writes that have a `request_id`, for which it makes one up where the
 * caller gave none. It does so until the deadline, with exponential backoff and full jitter, when
 * the server is unavailable, says when to come again, or the network broke the call. Where nothing
 * listens it fails after 0.3 s. While the server is silent, calls of sessions fail at once but for
 * one a second. Fails with LatchkeyError.
 */
export function withPolicy(
  transport: Transport,
  { key, deadline = DEADLINE }: PolicyOptions,
  { now, random, sleep }: Surroundings = SURROUNDINGS,
): Transport {
  const breaker = createBreaker(now);
  const authenticate = (given: ConstructorParameters<typeof Headers>[0]): Headers => {
    const header = new Headers(given);
    if (key !== undefined) header.set("authorization", `Bearer ${key}`);
    return header;
  };

  return {
    async unary(method, signal, timeoutMs = deadline, given, input, context) {
      const header = authenticate(given);
      const request = withJsonData(method.input, input);
      const message = withRequestId(method.input, create(method.input, request));
      const isRepeatable = READ.test(method.name) || hasRequestId(method.input);
      // Other calls may be slow by nature: a key exchange asks servers on the Internet.
      const isQuick = method.parent.typeName === SessionService.typeName;
      if (isQuick && !breaker.admits()) throw silent();
      const start = now();
      const end = timeoutMs > 0 ? start + timeoutMs : Number.POSITIVE_INFINITY;
      const left = () =>
        end === Number.POSITIVE_INFINITY ? 0 : Math.max(1, Math.ceil(end - now()));
      let failure: LatchkeyError | undefined;
      for (let attempt = 1; ; attempt++) {
        try {
          const answer = await transport.unary(method, signal, left(), header, message, context);
          breaker.onAnswer();
          withToJson(method.output, answer.message);
          return answer;
        } catch (cause) {
          const error = toLatchkeyError(cause);
          if (error.reason !== undefined) breaker.onAnswer();
          else if (isQuick && isSilence(error)) breaker.onSilence(start);
          // What the server said before tells more than that no time is left.
          if (error.code === Code.DeadlineExceeded && failure) throw failure;
          failure = error;
        }
        const wait =
          failure.retryAfter ?? random() * Math.min(MAX_WAIT, BACKOFF * 2 ** (attempt - 1));
        const limit = isRefused(failure) ? Math.min(end, start + REFUSED_FOR) : end;
        const isOver = !isRepeatable || signal?.aborted === true || now() + wait >= limit;
        if (isOver || !isTransient(failure)) throw failure;
        await sleep(wait, signal);
      }
    },
    async stream(method, signal, timeoutMs, given, input, context) {
      try {
        const header = authenticate(given);
        const call = await transport.stream(method, signal, timeoutMs, header, input, context);
        return { ...call, message: withTypedErrors(call.message) };
      } catch (error) {
        throw toLatchkeyError(error);
      }
    },
  };
}

const hasRequestId = (input: DescMessage) => "requestId" in input.field;

/** The message, with a `request_id` if it may have one and has none. */
function withRequestId<M extends Message>(input: DescMessage, message: M): M {
  const { requestId } = message as { requestId?: unknown };
  if (!hasRequestId(input) || requestId !== "") return message;
  const random = crypto.getRandomValues(new Uint8Array(16));
  const id = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
  // The caller's own message stays as it is.
  return Object.assign(clone(input, message) as M, { requestId: id });
}

async function* withTypedErrors<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw toLatchkeyError(error);
  }
}

/** Whether a call that failed so may succeed if it is made again. */
export function isTransient({ code, reason, retryAfter }: LatchkeyError): boolean {
  if (code === Code.Unavailable) return true;
  if (code === Code.ResourceExhausted) return retryAfter !== undefined;
  // A proxy's words for a server that went away.
  return reason === undefined && (code === Code.Internal || code === Code.Unknown);
}

const isSilence = ({ code }: LatchkeyError) =>
  code === Code.DeadlineExceeded || code === Code.Unavailable;

const silent = () =>
  new LatchkeyError(new ConnectError("Latchkey does not answer for now", Code.Unavailable));

/** The wait (ms) before attempt `attempt` + 1 of something that goes on for ever, at most 10 s. */
export function backoff(attempt: number, random: () => number): number {
  return random() * Math.min(10_000, BACKOFF * 2 ** (attempt - 1));
}

export const SURROUNDINGS: Surroundings = {
  now: () => performance.now(),
  random: Math.random,
  sleep: (milliseconds, signal) =>
    new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      const timer = setTimeout(wake, milliseconds);
      signal?.addEventListener("abort", wake);
      if (signal?.aborted) wake();
    }),
};
