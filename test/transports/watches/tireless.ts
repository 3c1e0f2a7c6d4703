import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  SessionService,
  type WatchSessionsResponse,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import {
  EndReason,
  type SessionEvent,
  SessionEventType,
} from "../../../gen/ts/latchkey/session/v1/watch_pb.js";
import type { Random } from "../../support/random.js";
import type { Addresses } from "../../support/transports/server.js";
import { openWire, WIRES } from "../../support/transports/wires.js";

export interface TirelessOptions {
  readonly app: string;
  /** Empty: the whole app. */
  readonly userId: string;
  /** Where the server is at the moment; null while there is none. */
  readonly server: () => Addresses | null;
  /** Whether to hang up now, in the middle of what was received. */
  readonly mustCut: () => boolean;
  readonly random: Random;
}

/**
 * A watcher that resumes whenever it is cut, by itself or by the server, each time over another
 * wire, from the last event that it handled. It fails if it is told anything twice.
 */
export function startTireless({ app, userId, server, mustCut, random }: TirelessOptions) {
  const live = new Set<string>();
  const ended = new Map<string, string>();
  let revision: bigint | undefined;
  let resets = 0;
  let cuts = 0;
  let stopped = false;
  let stop = () => {};

  const handleEvent = (event: SessionEvent) => {
    const { sessionId, type } = event;
    assert.ok(event.revision > (revision ?? 0n), "an event was told twice");
    if (type === SessionEventType.CREATED) live.add(sessionId);
    if (type === SessionEventType.ENDED) {
      assert.ok(!ended.has(sessionId), "an end was told twice");
      ended.set(sessionId, EndReason[event.endReason] ?? "");
      live.delete(sessionId);
    }
    revision = event.revision;
  };

  /** Handles a response; false if it hung up before its end. */
  const handle = ({ revision: upTo, content }: WatchSessionsResponse): boolean => {
    switch (content.case) {
      case "reset":
        resets++;
        live.clear();
        break;
      case "snapshot":
        for (const { sessionId } of content.value.sessions) live.add(sessionId);
        break;
      case "events":
        for (const event of content.value.events) {
          handleEvent(event);
          if (mustCut()) return false;
        }
        assert.ok(upTo >= (revision ?? 0n));
        break;
    }
    if (upTo > 0n) revision = upTo;
    return true;
  };

  const watchOnce = async (at: Addresses) => {
    const wire = openWire(WIRES[random(WIRES.length)] ?? "gRPC", at);
    const abort = new AbortController();
    stop = () => abort.abort();
    const resumeRevision = revision;
    const request = { app, userId, ...(resumeRevision === undefined ? {} : { resumeRevision }) };
    try {
      const call = wire.client(SessionService);
      for await (const response of call.watchSessions(request, { signal: abort.signal })) {
        // Not left by `return`, which may wait for a stream that is gone: it ends by its error.
        // In its first snapshot it has nothing to resume from: what ends before it asks again is told
        // to nobody.
        const goesOn = () => handle(response) && (revision === undefined || !mustCut());
        if (abort.signal.aborted || goesOn()) continue;
        cuts++;
        abort.abort();
      }
    } catch (error) {
      const { code } = ConnectError.from(error);
      // The server stops, or is gone, or this watcher has stopped.
      const expected = [Code.Unavailable, Code.Canceled, Code.Aborted, Code.Internal];
      if (!(error instanceof ConnectError) || !expected.includes(code)) throw error;
    } finally {
      abort.abort();
      wire.close();
    }
  };

  const run = async () => {
    while (!stopped) {
      const at = server();
      if (at) await watchOnce(at);
      await new Promise(setImmediate);
    }
  };
  let failure: unknown;
  const over = run().catch((error: unknown) => {
    failure = error;
  });

  return {
    live,
    /** Why each session ended. */
    ended,
    resets: () => resets,
    cuts: () => cuts,
    /** Throws if it was told what cannot be. */
    check(): void {
      if (failure) throw failure;
    },
    async stop(): Promise<void> {
      stopped = true;
      stop();
      await over;
      if (failure) throw failure;
    },
  };
}
