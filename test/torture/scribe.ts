// A process that writes to a store, many calls at a time, and tells on standard output what it
// asks and is answered, in the lines that `readLedger` reads. Its argument is a `ScribeOptions`.
import { writeSync } from "node:fs";
import { LatchkeyError } from "../../src/domain/error.js";
import type { Session } from "../../src/domain/sessions/session.js";
import { openThreadWriter } from "../../src/stores/sqlite/commit/client.js";
import {
  createCommitter,
  type Writer,
  type WriterOptions,
} from "../../src/stores/sqlite/commit/writer.js";
import { openConnection } from "../../src/stores/sqlite/file/connection.js";
import { openSqliteStore } from "../../src/stores/sqlite/open.js";
import { createRandom } from "../support/random.js";
import { createMint, NOW } from "../support/stores/fixture.js";
import { APP, dataOf, type State, tokenOf } from "./ledger.js";

export interface ScribeOptions {
  readonly path: string;
  readonly seed: number;
  /** How many calls it makes. */
  readonly calls: number;
  /** The number of its first session; two scribes of one file have none in common. */
  readonly first: number;
  /** Whether it ends without closing the store, as a killed process does. */
  readonly isKilled?: boolean;
  /** How it writes, if not as a server does. */
  readonly way?: Way;
}

/** A server's way with much shorter logs, or a control that a test of durability must fail. */
export type Way = "short logs" | "ignores failures" | "never syncs";

const WORKERS = 6;
/** How many sessions a worker keeps. */
const SESSIONS = 4;

const never = new Int32Array(new SharedArrayBuffer(4));

/** At once, so that a trace has it where it belongs; waits for a reader who is behind. */
function tell(line: string): void {
  for (let rest = Buffer.from(`${line}\n`); rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(never, 0, 0, 1);
    }
  }
}

/** A writer in this thread that does not sync. */
function openUnsynced({ path }: WriterOptions): Writer {
  const db = openConnection(path);
  db.pragma("synchronous = OFF");
  const commit = createCommitter(db);
  return { commit: async (batch) => commit([batch]), close: async () => void db.close() };
}

const writers: Record<Way, (options: WriterOptions) => Writer> = {
  "short logs": (to) => openThreadWriter({ ...to, maxPages: 100 }),
  "never syncs": openUnsynced,
  "ignores failures": (to) => {
    const writer = openThreadWriter(to);
    return { ...writer, commit: (batch) => writer.commit(batch).catch(() => undefined) };
  },
};

const options = JSON.parse(process.argv[2] ?? "") as ScribeOptions;
const random = createRandom(options.seed);
const mint = createMint();
let left = options.calls;
let next = options.first;

/** Tells of a call that brings `sessions` to a state. */
async function call(
  sessions: readonly number[],
  state: State | null,
  work: () => Promise<unknown>,
): Promise<boolean> {
  for (const n of sessions) {
    tell(`ask ${n} ${state ? `${state.updates} ${state.rotations}` : "gone"}`);
  }
  const outcome = await work().then(
    (answer) => (answer === null || answer === false ? "error nothing was found" : "done"),
    outcomeOf,
  );
  for (const n of sessions) tell(`${outcome} ${n}`);
  return outcome === "done";
}

function outcomeOf(error: unknown): string {
  if (error instanceof LatchkeyError && error.code === "unavailable") {
    return /unknown what was written/.test(error.message) ? "unknown" : "refused";
  }
  return `error ${String(error).replaceAll("\n", " ")}:`;
}

const { way } = options;
const store = openSqliteStore({
  path: options.path,
  observer: { committed() {}, swept() {} },
  clock: () => performance.now(),
  cacheBytes: 2 ** 24,
  onFatal: () => tell("fatal"),
  ...(way ? { openWriter: writers[way] } : {}),
});

async function work(worker: number): Promise<void> {
  const own = new Map<number, State>();
  const userId = `${options.first} ${worker}`;
  while (left-- > 0) {
    const picked = [...own][random(Math.max(1, own.size))];
    const choice = random(100);
    if (!picked || (choice < 30 && own.size < SESSIONS)) {
      const n = next++;
      const state = { updates: 0, rotations: 0 };
      const id = `019b0000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
      const { session } = mint({ id, app: APP, userId, data: dataOf(n, state) });
      if (await call([n], state, () => store.create(session, tokenOf(n, state)))) own.set(n, state);
      continue;
    }
    const [n, before] = picked;
    const token = tokenOf(n, before);
    if (choice < 75) {
      const state = { ...before, updates: before.updates + 1 };
      const apply = (session: Session): Session => ({
        ...session,
        data: dataOf(n, state),
        writes: session.writes + 1,
        version: session.version + 1,
      });
      if (await call([n], state, () => store.update(APP, token, NOW, apply))) own.set(n, state);
    } else if (choice < 85) {
      const state = { ...before, rotations: before.rotations + 1 };
      const rotation = {
        ...{ to: tokenOf(n, state), graceEndsAt: NOW, salt: "" },
        change: (session: Session) => ({ ...session, version: session.version + 1 }),
      };
      if (await call([n], state, () => store.rotate(APP, token, NOW, rotation))) own.set(n, state);
    } else if (choice < 95) {
      const ended = await call([n], null, () => store.delete(APP, { tokenHash: token }, NOW));
      if (ended) own.delete(n);
    } else {
      const ended = await call([...own.keys()], null, () => store.deleteUser(APP, userId, NOW));
      if (ended) own.clear();
    }
  }
}

await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)));
if (options.isKilled) process.kill(process.pid, "SIGKILL");
// A failure here is of writes that nobody waits for, or of the copy into the database, which
// the next start repeats.
await store.close().catch(() => undefined);
// As a server does.
process.exit();
