import { clone, create, type DescMessage, type Message } from "@bufbuild/protobuf";
import {
  Code,
  type ContextValues,
  createContextKey,
  createContextValues,
  type Transport,
} from "@connectrpc/connect";
import { type LatchkeyError, toLatchkeyError } from "./error.js";

/** Calls that change nothing but a session's idle time may be made again. */
const READ = /^(Get|List|BatchGet|Count|Discover)/;
const ATTEMPTS = 4;
/** Milliseconds; the wait before attempt n + 1 is anything up to this times 2^(n-1). */
const BACKOFF = 200;

/** Set on a call that is made again: the transport may wait for a connection instead of failing. */
export const WAIT_FOR_CONNECTION = createContextKey(false);

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
 * caller gave none. It does so when the server is unavailable, or says when to come again, at most
 * four times within the deadline, with exponential backoff and full jitter. Fails with
 * LatchkeyError.
 */
export function withPolicy(
  transport: Transport,
  { key, deadline = 5_000 }: PolicyOptions,
  { now, random, sleep }: Surroundings = SURROUNDINGS,
): Transport {
  const authenticate = (given: ConstructorParameters<typeof Headers>[0]): Headers => {
    const header = new Headers(given);
    if (key !== undefined) header.set("authorization", `Bearer ${key}`);
    return header;
  };

  return {
    async unary(method, signal, timeoutMs = deadline, given, input, context) {
      const header = authenticate(given);
      const message = withRequestId(method.input, create(method.input, input));
      const isRepeatable = READ.test(method.name) || hasRequestId(method.input);
      const attempts = isRepeatable ? ATTEMPTS : 1;
      const end = timeoutMs > 0 ? now() + timeoutMs : Number.POSITIVE_INFINITY;
      const left = () =>
        end === Number.POSITIVE_INFINITY ? 0 : Math.max(1, Math.ceil(end - now()));
      let failure: LatchkeyError | undefined;
      for (let attempt = 1; ; attempt++) {
        try {
          const values = attempt === 1 ? context : waiting(context);
          return await transport.unary(method, signal, left(), header, message, values);
        } catch (cause) {
          const error = toLatchkeyError(cause);
          // What the server said before tells more than that no time is left.
          if (error.code === Code.DeadlineExceeded && failure) throw failure;
          failure = error;
        }
        const wait = failure.retryAfter ?? random() * BACKOFF * 2 ** (attempt - 1);
        if (attempt === attempts || !isTransient(failure) || now() + wait >= end) throw failure;
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

/** The call's values, and that it may wait. */
function waiting(given: ContextValues | undefined): ContextValues {
  return (given ?? createContextValues()).set(WAIT_FOR_CONNECTION, true);
}

async function* withTypedErrors<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw toLatchkeyError(error);
  }
}

/** Whether a call that failed so may succeed if it is made again. */
export function isTransient({ code, retryAfter }: LatchkeyError): boolean {
  return code === Code.Unavailable || (code === Code.ResourceExhausted && retryAfter !== undefined);
}

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
