import type { Awaitable } from "../domain/awaitable.js";
import { invalid, LatchkeyError } from "../domain/error.js";
import { messageBytes } from "../domain/json.js";
import { checkApp, LIMITS } from "../domain/limits.js";
import type { Session } from "../domain/session.js";

export interface BatchRequest {
  readonly app: string;
  /** 1 to 1,000. */
  readonly tokens: readonly string[];
  readonly peek: boolean;
}

/** Reads sessions without letting others of the event loop wait for more than so many. */
const SLICE = 100;

/**
 * What `read` answers for each of the tokens, in their order, or why it fails; `limit` once the
 * sessions before take about LIMITS.batchBytes as messages. Throws `invalid` for the batch as a whole, and what
 * is not of one token, such as `unavailable`.
 */
export async function readBatch(
  { app, tokens }: BatchRequest,
  read: (app: string, token: string) => Awaitable<Session>,
): Promise<(Session | LatchkeyError)[]> {
  checkApp(app);
  if (tokens.length === 0) throw invalid("tokens", "missing", "tokens must have at least one");
  if (tokens.length > LIMITS.batch) {
    throw invalid("tokens", "value", `tokens must have at most ${LIMITS.batch}`);
  }
  const results: (Session | LatchkeyError)[] = [];
  let bytes = 0;
  for (const token of tokens) {
    if (results.length % SLICE === SLICE - 1) await new Promise(setImmediate);
    const result = bytes > LIMITS.batchBytes ? full() : await attempt(() => read(app, token));
    if (!(result instanceof LatchkeyError)) bytes += sessionBytes(result);
    results.push(result);
  }
  return results;
}

/** Of a session's message: what its numbers, instants and ids take, in bytes. */
const FIXED_BYTES = 200;

function sessionBytes({ userId, userAgent, data }: Session): number {
  return (
    FIXED_BYTES + Buffer.byteLength(userId) + Buffer.byteLength(userAgent) + messageBytes(data)
  );
}

const OF_ONE_TOKEN: readonly LatchkeyError["code"][] = ["invalid", "not_found"];

async function attempt(read: () => Awaitable<Session>): Promise<Session | LatchkeyError> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof LatchkeyError && OF_ONE_TOKEN.includes(error.code)) return error;
    throw error;
  }
}

function full(): LatchkeyError {
  return new LatchkeyError("limit", "the answer is full: ask for this and those after it again");
}
