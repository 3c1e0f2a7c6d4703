import type { SessionStore } from "../../domain/sessions/session-store.js";
import type { TakeTurn } from "../turns.js";
import type { WatchAnswer, WatchCall } from "./watch-request.js";

/**
 * Where a page of a snapshot ends, by sessions and bytes of data: one is in memory for each watcher
 * who does not read, and holds the event loop for as long as it takes to read and encode.
 */
const PAGE = { sessions: 250, bytes: 32_768 };

export interface SnapshotOptions {
  readonly list: SessionStore["list"];
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly takeTurn: TakeTurn;
}

/** Returns a function that reads the live sessions of an app, or of one user of it, page by page. */
export function createSnapshots({ list, now, takeTurn }: SnapshotOptions) {
  return (app: string, userId: string | undefined, { room, who }: WatchCall) => {
    let before: number | undefined;
    let sessions: Awaited<ReturnType<typeof list>>["sessions"] = [];
    return {
      /** Reads a page once there is memory for it; answers whether it is the last. */
      async read(): Promise<boolean> {
        await room();
        const page = await takeTurn(who, () =>
          list(app, now(), {
            ...(userId === undefined ? {} : { userId }),
            ...(before === undefined ? {} : { before }),
            limit: PAGE.sessions,
            maxBytes: PAGE.bytes,
            includeEnding: true,
          }),
        );
        sessions = page.sessions;
        before = page.next ?? undefined;
        return page.next === null;
      },
      /** The page, which is not kept: who waits to send it has the message made of it. */
      take(): WatchAnswer {
        const taken = sessions;
        sessions = [];
        return { type: "snapshot", revision: 0, sessions: taken };
      },
    };
  };
}
