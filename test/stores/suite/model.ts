import { type AppPolicy, NO_POLICY } from "../../../src/domain/sessions/app-policy.js";
import { isLive, type Session, touched } from "../../../src/domain/sessions/session.js";
import type { SessionKey } from "../../../src/domain/sessions/session-store.js";
import type { Minted } from "../../support/stores/fixture.js";

/** A store's sessions, in the order of their creation. */
export type Model = readonly Minted[];

/** What an operation leaves, and what the store must answer. */
export interface Outcome<T> {
  readonly model: Model;
  readonly answer: T;
}

/** Which sessions an operation means. */
export interface Scope {
  readonly app: string;
  readonly userId?: string | undefined;
  readonly activeSince?: number | undefined;
}

/** The session that `key` names, if it lives. */
export function find(model: Model, app: string, key: SessionKey, now: number): Minted | undefined {
  return model.find(
    ({ session, tokenHash }) =>
      session.app === app &&
      isLive(session, now) &&
      ("tokenHash" in key ? tokenHash === key.tokenHash : session.id === key.id),
  );
}

/** The live sessions of a scope, the newest first. */
export function live(model: Model, { app, userId, activeSince = 0 }: Scope, now: number) {
  return model
    .map(({ session }) => session)
    .filter(
      (session) =>
        session.app === app &&
        (userId === undefined || session.userId === userId) &&
        session.lastAccessedAt >= activeSince &&
        isLive(session, now),
    )
    .toReversed();
}

/** `change` applied to the session, if it lives. */
export function change(
  model: Model,
  app: string,
  key: SessionKey,
  now: number,
  change: (session: Session) => Session,
): Outcome<{ before: Session; after: Session } | null> {
  const found = find(model, app, key, now);
  if (!found) return { model, answer: null };
  const { session: before, tokenHash } = found;
  const after = change(before);
  return {
    model: model.map((one) => (one === found ? { session: after, tokenHash } : one)),
    answer: { before, after },
  };
}

export function touch(
  model: Model,
  app: string,
  key: SessionKey,
  now: number,
  policy: AppPolicy = NO_POLICY,
) {
  const { touchInterval } = policy;
  return change(model, app, key, now, (session) => {
    const due = session.lastAccessedAt + Math.min(touchInterval, session.idleTtl / 2);
    return touchInterval > 0 && now < due ? session : touched(session, now);
  });
}

/** One more session; false, and nothing changed, if the policy refuses it. */
export function create(model: Model, added: Minted, policy: AppPolicy): Outcome<boolean> {
  const { app, userId, createdAt } = added.session;
  const { maxSessionsPerUser: most, atLimit } = policy;
  const oldest = live(model, { app, userId }, createdAt).toReversed();
  const excess = most === 0 ? 0 : Math.max(0, oldest.length + 1 - most);
  if (excess > 0 && atLimit === "refuse") return { model, answer: false };
  if (atLimit === "evict_least_recently_used") {
    oldest.sort((a, b) => a.lastAccessedAt - b.lastAccessedAt);
  }
  const ending = oldest.slice(0, excess);
  const left = model.filter(({ session }) => !ending.includes(session));
  return { model: [...left, added], answer: true };
}

export function end(model: Model, app: string, key: SessionKey, now: number): Outcome<boolean> {
  const found = find(model, app, key, now);
  return { model: model.filter((one) => one !== found), answer: found !== undefined };
}

/** All of a scope ended but `keep`; null if that is no live session of it. */
export function endAll(
  model: Model,
  scope: Scope,
  now: number,
  keep?: SessionKey,
): Outcome<number | null> {
  const kept = keep && find(model, scope.app, keep, now)?.session;
  const ending = live(model, scope, now).filter((session) => session !== kept);
  if (keep && (!kept || kept.userId !== scope.userId)) return { model, answer: null };
  return {
    model: model.filter(({ session }) => !ending.includes(session)),
    answer: ending.length,
  };
}

export function countActiveUsers(model: Model, app: string, activeSince: number, now: number) {
  return new Set(live(model, { app, activeSince }, now).map(({ userId }) => userId)).size;
}
