import type { MessageInitShape } from "@bufbuild/protobuf";
import { type CallOptions, ConnectError } from "@connectrpc/connect";
import {
  SessionService,
  type WatchSessionsRequestSchema,
  type WatchSessionsResponse,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import {
  EndReason,
  type SessionEvent,
  SessionEventType,
} from "../../../gen/ts/latchkey/session/v1/watch_pb.js";
import { eventually } from "../eventually.js";
import type { Wire } from "./wires.js";

/** A call of WatchSessions whose responses are read as they come. */
export interface Watcher {
  readonly responses: readonly WatchSessionsResponse[];
  /** The responses by kind, in their order. */
  readonly kinds: () => readonly (string | undefined)[];
  readonly events: () => readonly SessionEvent[];
  /** The ids of the sessions in the snapshot. */
  readonly snapshot: () => readonly string[];
  /** What to resume from. */
  readonly revision: () => bigint;
  /** Resolves with how the call ended; undefined: well. */
  readonly ended: Promise<ConnectError | undefined>;
  /** Waits until `holds`. */
  until(what: string, holds: () => boolean): Promise<void>;
  /** Waits until nothing more is to come for the moment. */
  caughtUp(): Promise<void>;
  /** Cancels the call. */
  cut(): void;
}

export function openWatcher(
  wire: Wire,
  request: MessageInitShape<typeof WatchSessionsRequestSchema>,
  options: CallOptions = {},
): Watcher {
  const responses: WatchSessionsResponse[] = [];
  const abort = new AbortController();
  const read = async (): Promise<undefined> => {
    const call = wire.client(SessionService);
    for await (const response of call.watchSessions(request, { signal: abort.signal, ...options }))
      responses.push(response);
  };
  const ended = read().catch((error: unknown) => ConnectError.from(error));
  const kinds = () => responses.map(({ content }) => content.case);
  const until = (what: string, holds: () => boolean) => eventually(what, holds);
  return {
    responses,
    kinds,
    events: () =>
      responses.flatMap(({ content }) => (content.case === "events" ? content.value.events : [])),
    snapshot: () =>
      responses.flatMap(({ content }) =>
        content.case === "snapshot" ? content.value.sessions.map(({ sessionId }) => sessionId) : [],
      ),
    revision: () => responses.at(-1)?.revision ?? 0n,
    ended,
    until,
    caughtUp: () => until("the end of what was missed", () => kinds().includes("progress")),
    cut: () => abort.abort(),
  };
}

/** `CREATED`, or `ENDED: IDLE`. */
export function tell({ type, endReason }: SessionEvent): string {
  const name = SessionEventType[type] ?? "";
  return endReason === EndReason.UNSPECIFIED ? name : `${name}: ${EndReason[endReason]}`;
}
