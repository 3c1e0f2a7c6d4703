import { LatchkeyError } from "../../../src/domain/error.js";
import type { Session } from "../../../src/domain/sessions/session.js";
import type {
  ListPage,
  ListQuery,
  SessionStore,
  StoreObserver,
} from "../../../src/domain/sessions/session-store.js";
import { hashToken, type TokenHash } from "../../../src/domain/token.js";

/** The instant (ms) at which the cases begin; far from the real time, so that a
 * store which asks another clock than the caller's is found out. */
export const NOW = Date.UTC(2040, 1, 29, 12);

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;

/** What a store told its observer, in order. */
export interface Recording {
  readonly observer: StoreObserver;
  /** Writes of each commit. */
  readonly commits: readonly number[];
  /** Seconds of each commit. */
  readonly seconds: readonly number[];
  /** Sessions of each sweep. */
  readonly sweeps: readonly number[];
}

export function recordObserver(): Recording {
  const commits: number[] = [];
  const seconds: number[] = [];
  const sweeps: number[] = [];
  return {
    observer: {
      committed(writes, took) {
        commits.push(writes);
        seconds.push(took);
      },
      swept: (sessions) => sweeps.push(sessions),
    },
    commits,
    seconds,
    sweeps,
  };
}

/** A store for one test, and the test's hold on it. */
export interface OpenedStore {
  readonly store: SessionStore;
  readonly seen: Recording;
  /** Closes the store and opens another over the same sessions; absent where they end with it. */
  readonly reopen?: () => Promise<SessionStore>;
  /** Closes what is open and removes what is left. */
  dispose(): Promise<void>;
}

/** Makes a new, empty store. */
export type OpenStore = () => OpenedStore | Promise<OpenedStore>;

/** A session and what opens it. */
export interface Minted {
  readonly session: Session;
  readonly tokenHash: TokenHash;
}

/** Makes sessions that differ in id and token. */
export type Mint = (overrides?: Partial<Session>) => Minted;

/** What a case works with. */
export interface Trial {
  readonly store: SessionStore;
  readonly seen: Recording;
  readonly mint: Mint;
  /** Mints a session and creates it in the store. */
  add(overrides?: Partial<Session>): Promise<Minted>;
  /** As many sessions, created together. */
  addMany(count: number, overrides?: (index: number) => Partial<Session>): Promise<Minted[]>;
}

/** Declares a test that gets a store of its own. */
export type Case = (title: string, body: (trial: Trial) => Promise<void>) => void;

export function createMint(): Mint {
  let minted = 0;
  return (overrides = {}) => {
    minted++;
    const createdAt = overrides.createdAt ?? NOW;
    return {
      tokenHash: hashToken(`token ${minted}`),
      session: {
        id: `019b0000-0000-7000-8000-${minted.toString(16).padStart(12, "0")}`,
        app: "shop",
        userId: "ann",
        ip: "192.0.2.1",
        userAgent: "Mozilla/5.0",
        data: { cart: [1, 2], theme: "dark" },
        reads: 1,
        writes: 1,
        version: 1,
        createdAt,
        lastAccessedAt: createdAt,
        idleTtl: 30 * MINUTE,
        absoluteExpiresAt: null,
        ...overrides,
      },
    };
  };
}

export function createTrial({
  store,
  seen = recordObserver(),
}: {
  readonly store: SessionStore;
  readonly seen?: Recording;
}): Trial {
  const mint = createMint();
  const add = async (overrides?: Partial<Session>) => {
    const minted = mint(overrides);
    await store.create(minted.session, minted.tokenHash);
    return minted;
  };
  return {
    store,
    seen,
    mint,
    add,
    addMany: (count, overrides = () => ({})) =>
      Promise.all(Array.from({ length: count }, (_, index) => add(overrides(index)))),
  };
}

/** Runs `body` with a new store and disposes of it, whatever happens. */
export async function withStore<T extends OpenedStore>(
  open: () => T | Promise<T>,
  body: (opened: T) => Promise<void>,
): Promise<void> {
  const opened = await open();
  try {
    await body(opened);
  } catch (error) {
    // What failed first says more than what it left behind.
    await opened.dispose().catch(() => undefined);
    throw error;
  }
  await opened.dispose();
}

/** A change that sets `data[key]` as an update of the service does. */
export function setKey(key: string, value: number): (session: Session) => Session {
  return (session) => ({
    ...session,
    data: { ...session.data, [key]: value },
    writes: session.writes + 1,
    version: session.version + 1,
  });
}

/** More than any page of these tests holds, in sessions and in bytes. */
export const WHOLE = { limit: 1_000_000, maxBytes: Number.MAX_SAFE_INTEGER } as const;

/** The pages of a listing up to its end. */
export async function listPages(
  store: SessionStore,
  app: string,
  now: number,
  query: Partial<ListQuery> = {},
): Promise<ListPage[]> {
  const pages: ListPage[] = [];
  let before: number | undefined;
  for (;;) {
    const page = await store.list(app, now, {
      ...WHOLE,
      ...query,
      ...(before === undefined ? {} : { before }),
    });
    pages.push(page);
    if (page.next === null) return pages;
    if (before !== undefined && page.next >= before)
      throw new Error("the listing does not advance");
    before = page.next;
  }
}

/** All sessions of a listing. */
export async function listAll(
  store: SessionStore,
  app: string,
  now: number,
  query: Partial<ListQuery> = {},
): Promise<Session[]> {
  return (await listPages(store, app, now, query)).flatMap(({ sessions }) => sessions);
}

/** Sweeps until the store says that nothing is left to remove. */
export async function sweepAll(store: SessionStore, now: number, limit = 100): Promise<void> {
  for (let sweeps = 0; await store.sweep(now, limit); sweeps++) {
    if (sweeps === 1_000) throw new Error("the sweeps do not end");
  }
}

/** Whether `error` is a LatchkeyError of this code, for `assert.rejects`. */
export function hasCode(code: LatchkeyError["code"]): (error: unknown) => boolean {
  return (error) => error instanceof LatchkeyError && error.code === code;
}

/** How many simpler inputs a failed property tries at most: enough to be read, in seconds. */
export const SHRINKS = 500;

/** How many inputs a property tries: TEST_RUNS if set, else `usual`. */
export function runs(usual: number): number {
  return setting("TEST_RUNS", usual);
}

/** Of how many commands the sequences of the models are at most: TEST_COMMANDS, else `usual`. */
export function mostCommands(usual: number): number {
  return setting("TEST_COMMANDS", usual);
}

function setting(name: string, usual: number): number {
  const text = process.env[name];
  if (text === undefined) return usual;
  const wanted = Number(text);
  if (!Number.isInteger(wanted) || wanted < 1) {
    throw new Error(`${name} must be a whole number of at least 1`);
  }
  return wanted;
}
