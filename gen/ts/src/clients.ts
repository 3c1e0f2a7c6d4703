import type { MessageInitShape } from "@bufbuild/protobuf";
import { type CallOptions, type Client, createClient, type Transport } from "@connectrpc/connect";
import { RkeService } from "../latchkey/rke/v1/rke_service_pb.js";
import {
  SessionService,
  type WatchSessionsRequestSchema,
  type WatchSessionsResponse,
} from "../latchkey/session/v1/session_service_pb.js";
import { type PolicyOptions, withPolicy } from "./policy.js";
import { watchSessions } from "./watch.js";

/**
 * The clients of one server. Calls fail with LatchkeyError. Unary ones have a deadline, and are
 * made again where that is safe: see `withPolicy`.
 */
export interface Latchkey {
  readonly sessions: Client<typeof SessionService>;
  readonly rke: Client<typeof RkeService>;
  /** WatchSessions that resumes by itself: see `watchSessions`. */
  watch(
    request: MessageInitShape<typeof WatchSessionsRequestSchema>,
    options?: CallOptions,
  ): AsyncGenerator<WatchSessionsResponse, void>;
  /** Closes the connections; calls that are under way may fail. */
  close(): void;
}

export function createClients(
  transport: Transport,
  options: PolicyOptions,
  close: () => void,
): Latchkey {
  const kind = withPolicy(transport, options);
  const sessions = createClient(SessionService, kind);
  return {
    sessions,
    rke: createClient(RkeService, kind),
    watch: (request, options) => watchSessions(sessions, request, options),
    close,
  };
}
