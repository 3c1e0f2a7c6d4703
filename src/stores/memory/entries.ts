import { OLD_TOKENS, type OldTokenUse, useOfOldToken } from "../../domain/sessions/rotation.js";
import { isLive, type Session } from "../../domain/sessions/session.js";
import type { SessionKey } from "../../domain/sessions/session-store.js";
import type { TokenHash } from "../../domain/token.js";

/** A session and what finds it. */
export interface Entry {
  tokenHash: TokenHash;
  /** Grows with each creation; the order of listings. */
  readonly position: number;
  session: Session;
  /** Size of its data as JSON in UTF-8. */
  dataBytes: number;
  /** The old token that is good until the session's own is used; see `spareAfter`. */
  spare: TokenHash | null;
  /** The tokens that it had before, the oldest first. */
  readonly oldTokens: TokenHash[];
}

/** A token that was rotated. */
interface OldToken {
  readonly entry: Entry;
  readonly graceEndsAt: number;
}

type ByUser = Map<string, Set<Entry>>;

/** The sessions of a store, by token, id, app and user. Times are milliseconds since 1970. */
export function createEntries() {
  const byToken = new Map<TokenHash, Entry>();
  const byOldToken = new Map<TokenHash, OldToken>();
  const byId = new Map<string, Entry>();
  const apps = new Map<string, ByUser>();
  let positions = 0;

  /** Whether it ended together with all of its app's, and is not removed yet. */
  const isEnded = (entry: Entry) =>
    !apps.get(entry.session.app)?.get(entry.session.userId)?.has(entry);

  const isLiveIn = (app: string, entry: Entry, now: number) =>
    entry.session.app === app && isLive(entry.session, now) && !isEnded(entry);

  /** What the use of a token is that a session had before; null if none had it. */
  const useOf = (tokenHash: TokenHash, now: number): OldTokenUse | null => {
    const old = byOldToken.get(tokenHash);
    return old ? useOfOldToken(tokenHash, old.graceEndsAt, old.entry.spare, now) : null;
  };

  const findOld = (tokenHash: TokenHash, now: number, isTheft: boolean): Entry | null => {
    const use = useOf(tokenHash, now);
    if (use === null || (use === "theft") !== isTheft) return null;
    return byOldToken.get(tokenHash)?.entry ?? null;
  };

  return {
    isEnded,

    /** Whether a session has the id, or has or had the token. */
    has: (tokenHash: TokenHash, id: string): boolean =>
      byToken.has(tokenHash) || byOldToken.has(tokenHash) || byId.has(id),

    count: (): number => byToken.size,

    /** All of them. It bears removals, and sees what is added meanwhile. */
    all: (): Iterator<Entry> => byToken.values(),

    /** The app's, or its user's. */
    of(app: string, userId?: string): Iterable<Entry> {
      const users = apps.get(app);
      return userId === undefined ? ofAll(users) : (users?.get(userId) ?? []);
    },

    /** The app's by user. */
    byUser: (app: string): Iterable<Iterable<Entry>> => apps.get(app)?.values() ?? [],

    /** The app's live session of that name; an old token names one until its use is theft. */
    find(app: string, key: SessionKey, now: number): Entry | null {
      const entry =
        "tokenHash" in key
          ? (byToken.get(key.tokenHash) ?? findOld(key.tokenHash, now, false))
          : byId.get(key.id);
      return entry && isLiveIn(app, entry, now) ? entry : null;
    },

    useOf,

    /** The live session that the token opened before. */
    findStolen(app: string, key: SessionKey, now: number): Entry | null {
      if (!("tokenHash" in key)) return null;
      const entry = findOld(key.tokenHash, now, true);
      return entry && isLiveIn(app, entry, now) ? entry : null;
    },

    add(session: Session, tokenHash: TokenHash, dataBytes: number): void {
      const entry: Entry = {
        tokenHash,
        position: ++positions,
        session,
        dataBytes,
        spare: null,
        oldTokens: [],
      };
      byToken.set(tokenHash, entry);
      byId.set(session.id, entry);
      const users = apps.get(session.app) ?? new Map<string, Set<Entry>>();
      const entries = users.get(session.userId) ?? new Set<Entry>();
      apps.set(session.app, users.set(session.userId, entries.add(entry)));
    },

    /**
     * Gives it another token; `from` opens it until `graceEndsAt`. If that is an old one, the token
     * that the session had is good no more.
     */
    rotate(entry: Entry, from: TokenHash, to: TokenHash, graceEndsAt: number): void {
      byToken.delete(entry.tokenHash);
      byOldToken.set(entry.tokenHash, { entry, graceEndsAt: 0 });
      byOldToken.set(from, { entry, graceEndsAt });
      if (from !== entry.tokenHash) {
        entry.oldTokens.splice(entry.oldTokens.indexOf(from), 1, entry.tokenHash);
      }
      entry.oldTokens.push(from);
      entry.tokenHash = to;
      byToken.set(to, entry);
      for (const old of entry.oldTokens.splice(0, entry.oldTokens.length - OLD_TOKENS)) {
        byOldToken.delete(old);
      }
    },

    remove(entry: Entry): void {
      const { session } = entry;
      byToken.delete(entry.tokenHash);
      for (const old of entry.oldTokens) byOldToken.delete(old);
      byId.delete(session.id);
      const users = apps.get(session.app);
      const entries = users?.get(session.userId);
      entries?.delete(entry);
      if (entries?.size === 0) users?.delete(session.userId);
      if (users?.size === 0) apps.delete(session.app);
    },

    /** Ends all of the app's: none is found from here on, and each is the caller's to remove. */
    endApp(app: string): Iterable<Entry> {
      const users = apps.get(app);
      apps.delete(app);
      return ofAll(users);
    },

    clear(): void {
      byToken.clear();
      byOldToken.clear();
      byId.clear();
      apps.clear();
    },
  };
}

function* ofAll(users: ByUser | undefined): Generator<Entry> {
  for (const entries of users?.values() ?? []) yield* entries;
}
