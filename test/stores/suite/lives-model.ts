import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { type AppPolicy, NO_POLICY } from "../../../src/domain/sessions/app-policy.js";
import { KEPT } from "../../../src/domain/sessions/idempotency-key.js";
import { OLD_TOKENS } from "../../../src/domain/sessions/rotation.js";
import { isLive, type Session, touched } from "../../../src/domain/sessions/session.js";
import type { JsonObject } from "../../../src/lib/json.js";

/** A call of a use case that may come again under its request id. */
export type Operation = {
  readonly app: string;
  readonly requestId?: string;
} & (
  | { readonly do: "create"; readonly userId: string; readonly idleTtl: number }
  | {
      readonly do: "rotate";
      readonly token: string;
      readonly grace: number;
      readonly assumeReceived?: boolean;
      readonly expectedVersion?: number;
    }
  | {
      readonly do: "update";
      readonly token: string;
      readonly data: JsonObject;
      readonly expectedVersion?: number;
    }
  | { readonly do: "extend"; readonly token: string; readonly idleTtl: number }
  | { readonly do: "delete"; readonly token: string; readonly allowMissing: boolean }
  | {
      readonly do: "deleteUser";
      readonly userId: string;
      readonly keep?: string;
      readonly allowMissing: boolean;
    }
  | { readonly do: "peek" | "touch"; readonly token: string }
);

/** What a call is answered, or how it is refused and which session its theft ended. */
export type Answer =
  | { readonly code: string; readonly theft: string | null }
  | {
      readonly session?: Session;
      readonly token?: string;
      readonly graceEndsAt?: number;
      readonly count?: number;
    };

/** A session that was ever made. It is live until it expires or `isEnded`. */
interface Life {
  session: Session;
  token: string;
  /** Whether its token was ever used, or it was never rotated. */
  isUsed: boolean;
  /** The tokens before, the newest first, each in its grace or after it. */
  oldTokens: { readonly token: string; readonly graceEndsAt: number }[];
  isEnded: boolean;
}

interface Kept {
  readonly body: Omit<Operation, "requestId">;
  readonly expiresAt: number;
  readonly answer: Answer;
}

/** What the apps ask of their sessions; the others nothing. */
export const POLICIES: Readonly<Record<string, AppPolicy>> = {
  blog: {
    ...NO_POLICY,
    maxIdleTtl: 50_000,
    maxAbsoluteTtl: 90_000,
    maxSessionsPerUser: 2,
    atLimit: "evict_least_recently_used",
  },
  club: { ...NO_POLICY, maxSessionsPerUser: 2, atLimit: "refuse" },
};

const refused = (code: string, theft: string | null = null): Answer => ({ code, theft });
const MISSING = refused("not_found");

/** Sessions as their users see them. */
export function createLives() {
  const lives: Life[] = [];
  const kept = new Map<string, Kept>();
  const everMade = new Set<string>();

  /** A token just made; only an answer given again has one that was there before. */
  const claim = (token: string): string => {
    assert.ok(!everMade.has(token), "a new token was made before");
    if (token !== "") everMade.add(token);
    return token;
  };

  const isAlive = ({ session, isEnded }: Life, now: number) => !isEnded && isLive(session, now);

  /** The live session that the token opens, or opened. */
  const named = (app: string, token: string, now: number) => {
    for (const life of lives) {
      if (life.session.app !== app || !isAlive(life, now)) continue;
      if (life.token === token) return { life, state: "current" as const };
      const index = life.oldTokens.findIndex((one) => one.token === token);
      const old = life.oldTokens[index];
      if (!old) continue;
      if (now < old.graceEndsAt) return { life, state: "in grace" as const };
      // Whoever rotated it last may not have got the answer.
      const isLeft = index === 0 && !life.isUsed;
      return { life, state: isLeft ? ("left" as const) : ("stolen" as const) };
    }
    return null;
  };

  /** Ends what must give way to a session of the user; false if there may be none. */
  const makeRoom = (app: string, userId: string, now: number): boolean => {
    const { maxSessionsPerUser: most, atLimit } = POLICIES[app] ?? NO_POLICY;
    const live = lives.filter(
      (life) => life.session.app === app && life.session.userId === userId && isAlive(life, now),
    );
    if (most === 0 || live.length < most) return true;
    assert.equal(live.length, most, "the user has more sessions than the app allows");
    if (atLimit === "refuse") return false;
    let longest = live[0] ?? assert.fail();
    for (const life of live) {
      if (life.session.lastAccessedAt < longest.session.lastAccessedAt) longest = life;
    }
    longest.isEnded = true;
    return true;
  };

  const access = (life: Life, now: number, change: Partial<Session>): Session => {
    const { lastAccessedAt } = touched(life.session, now);
    life.session = { ...life.session, ...change, lastAccessedAt };
    return life.session;
  };

  const endUser = (app: string, userId: string, now: number, except: Life | null): Answer => {
    const ending = lives.filter(
      (life) =>
        life !== except &&
        life.session.app === app &&
        life.session.userId === userId &&
        isAlive(life, now),
    );
    for (const life of ending) life.isEnded = true;
    return { count: ending.length };
  };

  const perform = (operation: Operation, now: number, made: Made): Answer => {
    const { app } = operation;
    if (operation.do === "create") {
      const { userId, idleTtl } = operation;
      if (!makeRoom(app, userId, now)) return refused("limit");
      const { maxAbsoluteTtl } = POLICIES[app] ?? NO_POLICY;
      const session: Session = {
        id: made.sessionId,
        app,
        userId,
        ip: "",
        userAgent: "",
        data: {},
        reads: 1,
        writes: 1,
        version: 1,
        createdAt: now,
        lastAccessedAt: now,
        idleTtl: idleTtl * 1000,
        absoluteExpiresAt: maxAbsoluteTtl === null ? null : now + maxAbsoluteTtl,
      };
      lives.push({
        session,
        token: claim(made.token),
        isUsed: true,
        oldTokens: [],
        isEnded: false,
      });
      return { session, token: made.token };
    }
    const token = operation.do === "deleteUser" ? operation.keep : operation.token;
    const found = token === undefined ? null : named(app, token, now);
    if (found?.state === "stolen") {
      found.life.isEnded = true;
      return refused("not_found", found.life.session.id);
    }
    const expected = "expectedVersion" in operation ? operation.expectedVersion : undefined;
    const isStale = expected !== undefined && expected !== found?.life.session.version;
    if (found?.state === "current" && !isStale) found.life.isUsed = true;
    if (operation.do === "deleteUser") {
      const { userId, allowMissing } = operation;
      const isKept = found?.life.session.userId === userId;
      if (token !== undefined && !isKept && !allowMissing) return MISSING;
      return endUser(app, userId, now, found?.life ?? null);
    }
    if (!found) return operation.do === "delete" && operation.allowMissing ? {} : MISSING;
    const { life, state } = found;
    const { session } = life;
    switch (operation.do) {
      case "rotate": {
        if (state === "in grace" || isStale) return refused("version_mismatch");
        const graceEndsAt = now + operation.grace * 1000;
        if (state === "left") life.oldTokens[0] = { token: life.token, graceEndsAt: 0 };
        life.oldTokens.unshift({ token: operation.token, graceEndsAt });
        life.isUsed = operation.assumeReceived ?? false;
        life.oldTokens.splice(OLD_TOKENS);
        life.token = claim(made.token);
        const after = access(life, now, { version: session.version + 1 });
        return { session: after, token: made.token, graceEndsAt };
      }
      case "update":
        if (isStale) return refused("version_mismatch");
        return {
          session: access(life, now, {
            data: { ...session.data, ...operation.data },
            writes: session.writes + 1,
            version: session.version + 1,
          }),
        };
      case "extend": {
        const change = { idleTtl: operation.idleTtl * 1000, version: session.version + 1 };
        return { session: access(life, now, change) };
      }
      case "delete":
        life.isEnded = true;
        return {};
      case "touch":
        return { session: access(life, now, { reads: session.reads + 1 }) };
      case "peek":
        return { session };
    }
  };

  return {
    /** All tokens that were ever good, the newest session's last. */
    tokens: (): string[] =>
      lives.flatMap(({ token, oldTokens }) => [...oldTokens.map((old) => old.token), token]),

    /** The session of a token, dead or alive. */
    of: (token: string): Session | undefined =>
      lives.find((life) => life.token === token || life.oldTokens.some((o) => o.token === token))
        ?.session,

    /** What the call must be answered, given what it is the server's to choose. */
    answer(operation: Operation, now: number, made: Made): Answer {
      // Cloned, for objects without a prototype are as good as others.
      const { requestId, ...body } = structuredClone(operation);
      const { maxIdleTtl } = POLICIES[operation.app] ?? NO_POLICY;
      const idleTtl = "idleTtl" in operation ? operation.idleTtl * 1000 : 0;
      if (maxIdleTtl !== null && idleTtl > maxIdleTtl) return refused("invalid");
      if (requestId === undefined) return perform(operation, now, made);
      const key = `${operation.do} ${operation.app} ${requestId}`;
      const before = kept.get(key);
      if (before && now < before.expiresAt) {
        return isDeepStrictEqual(before.body, body) ? before.answer : refused("exists");
      }
      const answer = perform(operation, now, made);
      if (!("code" in answer)) kept.set(key, { body, expiresAt: now + KEPT, answer });
      return answer;
    },
  };
}

/** What the server chooses at random. */
export interface Made {
  readonly token: string;
  readonly sessionId: string;
}
