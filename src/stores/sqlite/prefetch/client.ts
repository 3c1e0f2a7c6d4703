import { withAccess } from "../../../domain/sessions/session.js";
import type { TokenHash } from "../../../domain/token.js";
import type { StoredSession } from "../tables/sessions.js";
import { endThread, startThread } from "../threads/database-thread.js";
import type { FilterMemory } from "./token-filter.js";

/** Reads that wait for the disk at once. */
const THREADS = 2;

/** What a thread is asked to read: the session of a token. */
export interface Asked {
  readonly app: string;
  readonly appId: number;
  readonly tokenHash: TokenHash;
}

/** The row, or null: whether there is one is to be found out by reading it. */
export type Fetched = StoredSession | null;

/** Reads rows before they are needed. */
export interface Prefetch {
  /**
   * Resolves with the row when it, or that there is none, can be read without waiting for the
   * disk; never rejects. Undefined if that would take longer than to read it.
   */
  session(asked: Asked): Promise<Fetched> | undefined;
  /** Has a filter know all tokens of the file, in time. */
  fill(filter: FilterMemory): void;
  /** Lets go of the database. */
  close(): Promise<void>;
}

export interface PrefetchOptions {
  readonly path: string;
}

export const NO_PREFETCH: Prefetch = {
  session: () => undefined,
  fill: () => {},
  close: async () => {},
};

/**
 * Prefetches in threads of their own: the event loop never waits for the disk. They start when the
 * first row is asked for; until they do, and when they died, there is nothing to wait for.
 */
export function openPrefetch({ path }: PrefetchOptions): Prefetch {
  let readers: Reader[] | undefined;
  let filter: FilterMemory | undefined;

  const start = (): Reader[] => {
    const started = Array.from({ length: THREADS }, () => startReader(path));
    if (filter) started[0]?.fill(filter);
    return started;
  };

  return {
    session(asked) {
      readers ??= start();
      let idlest: Reader | undefined;
      for (const reader of readers) {
        if (!reader.isReady()) continue;
        if (!idlest || reader.waiting() < idlest.waiting()) idlest = reader;
      }
      return idlest?.read(asked);
    },
    fill(memory) {
      // Who never asks for a row that is not in memory asks for no unknown token either.
      filter = memory;
    },
    async close() {
      await Promise.all((readers ?? []).map((reader) => reader.close()));
    },
  };
}

/**
 * The same as an object of the form that every other session has: those that come from a thread
 * have one of their own, and code that meets several forms is slower.
 */
function asMade({ session, ...rest }: StoredSession): StoredSession {
  return { ...rest, session: withAccess(session, session.reads, session.lastAccessedAt) };
}

type Reader = ReturnType<typeof startReader>;

function startReader(path: string) {
  const thread = startThread("#prefetch-thread", { path });
  let waiting: ((fetched: Fetched) => void)[] = [];
  let state: "starting" | "ready" | "gone" = "starting";

  const leave = () => {
    state = "gone";
    const left = waiting;
    waiting = [];
    for (const resolve of left) resolve(null);
  };
  // The first says that it is ready, each other is what it was asked for.
  thread.on("message", (fetched: Fetched) => {
    if (state === "starting") state = "ready";
    else waiting.shift()?.(fetched && asMade(fetched));
  });
  thread.on("error", leave);
  thread.on("exit", leave);

  return {
    isReady: () => state === "ready",
    waiting: () => waiting.length,
    read: (asked: Asked) =>
      new Promise<Fetched>((resolve) => {
        waiting.push(resolve);
        thread.postMessage(asked);
      }),
    fill: (filter: FilterMemory) => thread.postMessage(filter),
    close: () => endThread(thread),
  };
}
