import { closeSync, openSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { Database } from "better-sqlite3";
import { LatchkeyError } from "../../domain/error.js";
import { KEPT_EVENTS } from "../../domain/sessions/event-log.js";
import { DEFAULT_QUOTAS, type Quotas } from "../../domain/sessions/quotas.js";
import type { SessionStore, StoreObserver } from "../../domain/sessions/session-store.js";
import { openThreadWriter } from "./commit/client.js";
import type { WaitingLimits } from "./commit/write-admission.js";
import type { Writer, WriterOptions } from "./commit/writer.js";
import { openConnection } from "./file/connection.js";
import { openFailure } from "./file/failure.js";
import { type DatabaseLock, lockDatabase } from "./file/lock.js";
import { freeBytesAt } from "./file/presence.js";
import { createPrivate } from "./file/private-file.js";
import { type FileWatchOptions, watchFiles } from "./file/watch.js";
import { openPrefetch, type Prefetch, type PrefetchOptions } from "./prefetch/client.js";
import { createSqliteStore } from "./store.js";
import { forgetUnusedApps, migrate } from "./tables/schema.js";

/** In a file of 10,000,000 sessions, some 5 ms of the writer's work. */
const BATCH_SIZE = 100;

export interface OpenOptions {
  /** The database file; it and its folder are made if missing, readable by this user only. */
  readonly path: string;
  readonly observer: StoreObserver;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Called once, when the disk fails so that only a restart is safe. */
  readonly onFatal: (error: unknown) => void;
  /** Told of every damaged page that something met: that fails, and nothing else. */
  readonly onDamage?: (error: unknown) => void;
  /** About how much memory (bytes) the cache of sessions may take. */
  readonly cacheBytes: number;
  readonly keptEvents?: number;
  /** What may wait for the disk, callers' writes beyond it being refused; anything if absent. */
  readonly waiting?: WaitingLimits | null;
  /** Sessions that one transaction of a bulk end removes. */
  readonly batchSize?: number;
  /** What it keeps at most; `DEFAULT_QUOTAS` if absent. */
  readonly quotas?: Quotas;
  /** What writes to the file at a path; a thread if absent. */
  readonly openWriter?: (options: WriterOptions) => Writer;
  /** Does work again and again; the system's timers if absent. */
  readonly every?: FileWatchOptions["every"];
  /** Holds the thread so many milliseconds; it does if absent. */
  readonly rest?: (milliseconds: number) => void;
  /** What reads rows ahead; threads if absent. */
  readonly openPrefetch?: (options: PrefetchOptions) => Prefetch;
}

/**
 * Opens the database as its one server and brings its schema up to date.
 * Throws `unavailable` if another server uses it or a later version wrote it.
 */
export function openSqliteStore(options: OpenOptions): SessionStore {
  const path = resolve(options.path);
  let lock: DatabaseLock | undefined;
  let handle: number | undefined;
  let db: Database | undefined;
  try {
    const file = createPrivate(path);
    const held = lockDatabase(file, options.rest ?? rest);
    lock = held;
    const opened = openSync(file, "r+");
    handle = opened;
    db = openConnection(file);
    migrate(db);
    forgetUnusedApps(db);
    // A log that a failed sync or a kill left may be whole in the system's memory and not on disk;
    // what is written behind a gap would be lost with the power. So it is copied, and begun anew;
    // only a reader at work, a backup, can prevent that.
    db.pragma("wal_checkpoint(TRUNCATE)");
    // Only the writer writes from here on.
    db.pragma("query_only = ON");
    const { openWriter = openThreadWriter } = options;
    const { committed } = options.observer;
    return createSqliteStore({
      db,
      openWriter: (onBroken) =>
        openWriter({ path: file, file: opened, committed, onBroken, clock: options.clock }),
      prefetch: (options.openPrefetch ?? openPrefetch)({ path: file }),
      observer: options.observer,
      clock: options.clock,
      cacheBytes: options.cacheBytes,
      batchSize: options.batchSize ?? BATCH_SIZE,
      quotas: options.quotas ?? DEFAULT_QUOTAS,
      keptEvents: options.keptEvents ?? KEPT_EVENTS,
      waiting: options.waiting ?? null,
      walBytes: () => statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0,
      watchFiles: (onLost) => watchFiles({ path: file, every: options.every ?? every, onLost }),
      onFatal: options.onFatal,
      onDamage: options.onDamage ?? (() => undefined),
      onClose(isLetGo) {
        if (isLetGo) closeSync(opened);
        held.release();
      },
    });
  } catch (error) {
    db?.close();
    if (handle !== undefined) closeSync(handle);
    lock?.release();
    if (error instanceof LatchkeyError) throw error;
    const reason = openFailure(error, () => freeBytesAt(path));
    throw new LatchkeyError("unavailable", `cannot use ${path}: ${reason}`, { cause: error });
  }
}

function every(milliseconds: number, work: () => void): () => void {
  const timer = setInterval(work, milliseconds).unref();
  return () => clearInterval(timer);
}

function rest(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
