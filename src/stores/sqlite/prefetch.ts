import type { TokenHash } from "../../domain/token.js";
import { endThread, startThread } from "./database-thread.js";

/** Reads that wait for the disk at once. */
const THREADS = 2;

/** What a thread is asked to read: the session of a token. */
export interface Asked {
  readonly appId: number;
  readonly tokenHash: TokenHash;
}

/** Has rows read into the system's memory before they are needed. */
export interface Prefetch {
  /**
   * Resolves when the row can be read without waiting for the disk; never rejects. Undefined if
   * that would take longer than to read it.
   */
  session(asked: Asked): Promise<void> | undefined;
  /** Lets go of the database. */
  close(): Promise<void>;
}

export interface PrefetchOptions {
  readonly path: string;
}

export const NO_PREFETCH: Prefetch = { session: () => undefined, close: async () => {} };

/**
 * Prefetches in threads of their own: the event loop then reads from memory, and never waits for
 * the disk. They start when the first row is asked for; until they do, and when they died, there is
 * nothing to wait for.
 */
export function openPrefetch({ path }: PrefetchOptions): Prefetch {
  let readers: Reader[] | undefined;

  return {
    session(asked) {
      readers ??= Array.from({ length: THREADS }, () => startReader(path));
      let idlest: Reader | undefined;
      for (const reader of readers) {
        if (!reader.isReady()) continue;
        if (!idlest || reader.waiting() < idlest.waiting()) idlest = reader;
      }
      return idlest?.read(asked);
    },
    async close() {
      await Promise.all((readers ?? []).map((reader) => reader.close()));
    },
  };
}

type Reader = ReturnType<typeof startReader>;

function startReader(path: string) {
  const thread = startThread("#prefetch-thread", path);
  let waiting: (() => void)[] = [];
  let state: "starting" | "ready" | "gone" = "starting";

  const leave = () => {
    state = "gone";
    const left = waiting;
    waiting = [];
    for (const resolve of left) resolve();
  };
  // The first says that it is ready, each other that it has read what it was asked for.
  thread.on("message", () => {
    if (state === "starting") state = "ready";
    else waiting.shift()?.();
  });
  thread.on("error", leave);
  thread.on("exit", leave);

  return {
    isReady: () => state === "ready",
    waiting: () => waiting.length,
    read: (asked: Asked) =>
      new Promise<void>((resolve) => {
        waiting.push(resolve);
        thread.postMessage(asked);
      }),
    async close() {
      if (state !== "gone") await endThread(thread);
    },
  };
}
