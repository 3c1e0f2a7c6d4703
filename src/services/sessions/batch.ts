import { invalid, LatchkeyError } from "../../domain/error.js";
import { checkApp, LIMITS } from "../../domain/limits.js";
import type { Session } from "../../domain/sessions/session.js";
import { messageBytes } from "../../lib/json.js";
import type { MaybePromise } from "../../lib/maybe-promise.js";

export interface BatchRequest {
  readonly app: string;
  /** 1 to 1,000. */
  readonly tokens: readonly string[];
  readonly peek: boolean;
}

/** What one turn of a batch reads, by tokens and bytes of sessions as messages. */
const PIECE = { tokens: 50, bytes: 32_768 };

/** What a token was answered: its session, or why there is none. */
export type BatchResult = Session | LatchkeyError;

export interface BatchWork<T> {
  readonly read: (app: string, token: string) => MaybePromise<Session>;
  /** What is made of each result, in the same turn. */
  readonly use: (result: BatchResult) => T;
  /** Does a piece of the work when it is its turn. */
  readonly takeTurn: <R>(work: () => R) => Promise<R>;
}

/**
 * Returns what `use` makes of what `read` answers for each of the tokens, in their order, or of why
 * it fails; `limit` once the sessions before take about LIMITS.batchBytes as messages. Throws
 * `invalid` for the batch as a whole, and what is not of one token, such as `unavailable`.
 */
export async function readBatch<T>(
  { app, tokens }: BatchRequest,
  { read, use, takeTurn }: BatchWork<T>,
): Promise<T[]> {
  checkApp(app);
  if (tokens.length === 0) throw invalid("tokens", "missing", "tokens must have at least one");
  if (tokens.length > LIMITS.batch) {
    throw invalid("tokens", "value", `tokens must have at most ${LIMITS.batch}`);
  }
  const made: T[] = [];
  let bytes = 0;
  const take = (result: BatchResult) => {
    if (!(result instanceof LatchkeyError)) bytes += sessionBytes(result);
    made.push(use(result));
  };

  /** Reads on, after what was waited for; returns the next that is to be waited for, if any. */
  const readPiece = (waitedFor: BatchResult | undefined) => {
    if (waitedFor) take(waitedFor);
    const end = { tokens: made.length + PIECE.tokens, bytes: bytes + PIECE.bytes };
    for (const token of tokens.slice(made.length, end.tokens)) {
      if (bytes >= end.bytes) break;
      const result = bytes > LIMITS.batchBytes ? full() : attempt(() => read(app, token));
      if (result instanceof Promise) return { waiting: result };
      take(result);
    }
    return { waiting: undefined };
  };

  let waitedFor: BatchResult | undefined;
  while (made.length < tokens.length) {
    const { waiting } = await takeTurn(() => readPiece(waitedFor));
    // Not in the turn, which others wait for.
    waitedFor = await waiting;
  }
  return made;
}

/** Of a session's message: what its numbers, instants and ids take, in bytes. */
const FIXED_BYTES = 200;

/** Bytes that a session takes as a message, or some more. */
export function sessionBytes({ userId, userAgent, data }: Session): number {
  return (
    FIXED_BYTES + Buffer.byteLength(userId) + Buffer.byteLength(userAgent) + messageBytes(data)
  );
}

const OF_ONE_TOKEN: readonly LatchkeyError["code"][] = ["invalid", "not_found"];

function attempt(read: () => MaybePromise<Session>): MaybePromise<BatchResult> {
  try {
    const answer = read();
    return answer instanceof Promise ? answer.catch(ofOneToken) : answer;
  } catch (error) {
    return ofOneToken(error);
  }
}

function ofOneToken(error: unknown): LatchkeyError {
  if (error instanceof LatchkeyError && OF_ONE_TOKEN.includes(error.code)) return error;
  throw error;
}

function full(): LatchkeyError {
  return new LatchkeyError("limit", "the answer is full: ask for this and those after it again");
}
