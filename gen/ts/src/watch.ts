import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type CallOptions, type Client, Code } from "@connectrpc/connect";
import {
  type SessionService,
  WatchSessionsRequestSchema,
  type WatchSessionsResponse,
} from "../latchkey/session/v1/session_service_pb.js";
import { type LatchkeyError, toLatchkeyError } from "./error.js";
import { backoff, SURROUNDINGS, type Surroundings } from "./policy.js";

/** Not of Latchkey, and of no use to try again where nothing else ever came. */
const WRONG_SERVER: ReadonlySet<Code> = new Set([
  Code.Unimplemented,
  Code.Unauthenticated,
  Code.PermissionDenied,
]);

/**
 * WatchSessions that goes on where it was when the server stops, cannot be reached, is overloaded,
 * or has dropped the watcher for being slow, and after any break that Latchkey did not explain,
 * such as a proxy's; for ever, until the loop over it is left, or the call's `signal` is aborted or
 * its time over. Where it cannot go on, the server sends `reset`, also when a snapshot was cut:
 * forget what you know, a snapshot follows. Other failures are thrown as LatchkeyError.
 */
export async function* watchSessions(
  sessions: Client<typeof SessionService>,
  request: MessageInitShape<typeof WatchSessionsRequestSchema>,
  options: CallOptions = {},
  { random, sleep }: Pick<Surroundings, "random" | "sleep"> = SURROUNDINGS,
): AsyncGenerator<WatchSessionsResponse, void> {
  const { app, userId, includeTouches, resumeRevision } = create(
    WatchSessionsRequestSchema,
    request,
  );
  // Connect's clients do not end a call whose loop is left.
  const left = new AbortController();
  const signals = options.signal ? [left.signal, options.signal] : [left.signal];
  const signal = AbortSignal.any(signals);
  // Half a snapshot has the revision 0, which is too old for any watch.
  let last = resumeRevision;
  let isBegun = false;
  try {
    for (let failures = 1; ; failures++) {
      let isAnswered = false;
      let asked = 0;
      try {
        const resume = last === undefined ? {} : { resumeRevision: last };
        const watch = { app, userId, includeTouches, ...resume };
        for await (const response of sessions.watchSessions(watch, { ...options, signal })) {
          failures = 0;
          isBegun = isAnswered = true;
          yield response;
          last = response.revision;
        }
      } catch (cause) {
        const error = toLatchkeyError(cause);
        const isTimeout = error.code === Code.DeadlineExceeded && options.timeoutMs !== undefined;
        if (signal.aborted || isTimeout || !mayResume(error, isBegun, isAnswered)) throw error;
        asked = error.retryAfter ?? 0;
      }
      await sleep(Math.max(asked, backoff(Math.max(1, failures), random)), signal);
    }
  } finally {
    left.abort();
  }
}

/** `isBegun`: the watch was told something; `isAnswered`: its last call was. */
function mayResume(
  { code, reason }: LatchkeyError,
  isBegun: boolean,
  isAnswered: boolean,
): boolean {
  if (reason === undefined) return isBegun || !WRONG_SERVER.has(code);
  // Where nothing was told it is not the watcher that was slow.
  if (reason === "LIMIT") return isAnswered;
  return code === Code.Unavailable || reason === "OVERLOADED";
}
