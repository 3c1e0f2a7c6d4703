import type { Session } from "../../gen/ts/latchkey/session/v1/session_pb.js";

/** What the callers know of a session's being there. */
export type Presence = "asked" | "there" | "ending" | "ended";

/** A counter in a session's data that one worker sets to 1, 2, 3 and so on. */
interface Counter {
  /** The last value whose update was answered, and the last that was sent. */
  answered: number;
  sent: number;
}

/** One session as its callers know it. Calls without an answer may have been carried out. */
export interface Known {
  /** Has no other session. */
  readonly user: string;
  /** What it was created with, at key `n`. */
  readonly n: number;
  /** `asked`: its create has no answer; `ending`: its delete has none. */
  presence: Presence;
  /** What opens it; empty if its create was not answered. */
  token: string;
  /** By the key in its data. */
  readonly counters: Map<string, Counter>;
  /** How many reads it has by what was answered. */
  reads: number;
}

/** The sessions of one database file as their callers know them, by user. */
export type Model = Map<string, Known>;

export interface Checks {
  /** Whether no read may be missing, nor be there without its answer. */
  readonly reads?: boolean;
}

/**
 * Every way in which the sessions found contradict the model. Each update sets
 * one counter and counts one write, so that the sums must agree as well.
 */
export function contradictions(
  model: Model,
  found: readonly Session[],
  { reads = false }: Checks = {},
): string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const session of found) {
    const user = session.userId;
    const known = model.get(user);
    const report = (problem: string) => problems.push(`${user}: ${problem}`);
    if (seen.has(user)) report("has two sessions");
    seen.add(user);
    if (!known) {
      report("nobody created it");
      continue;
    }
    if (known.presence === "ended") {
      report("it is there, though it was ended or never began");
      continue;
    }
    const { n, ...counters } = session.data ?? {};
    if (n !== known.n) report(`n is ${n}, it was created with ${known.n}`);
    let sum = 0;
    for (const key of new Set([...Object.keys(counters), ...known.counters.keys()])) {
      const value = Number(counters[key] ?? 0);
      const { answered, sent } = known.counters.get(key) ?? { answered: 0, sent: 0 };
      if (value < answered) report(`${key} is ${value}, though ${answered} was answered`);
      if (value > sent) report(`${key} is ${value}, though no more than ${sent} was asked for`);
      sum += value;
    }
    if (Number(session.writes) !== 1 + sum) report(`${session.writes} writes of ${sum} updates`);
    if (session.version !== session.writes) report(`version ${session.version} is not its writes`);
    if (reads && Number(session.reads) !== known.reads) {
      report(`${session.reads} reads, though ${known.reads} were answered`);
    }
  }
  for (const known of model.values()) {
    if (known.presence === "there" && !seen.has(known.user)) {
      problems.push(`${known.user}: it is gone`);
    }
  }
  return problems;
}

/** Takes what was found as the truth about the calls that had no answer. */
export function settle(model: Model, found: readonly Session[]): void {
  const byUser = new Map(found.map((session) => [session.userId, session]));
  for (const known of model.values()) {
    const session = byUser.get(known.user);
    known.presence = session ? "there" : "ended";
    known.reads = Number(session?.reads ?? 0);
    for (const [key, counter] of known.counters) {
      const value = Number(session?.data?.[key] ?? 0);
      counter.answered = value;
      counter.sent = value;
    }
  }
}

/** Takes every call that had no answer as one that was not carried out. */
export function denyUnanswered(model: Model): void {
  for (const known of model.values()) {
    if (known.presence === "asked") known.presence = "ended";
    if (known.presence === "ending") known.presence = "there";
    for (const counter of known.counters.values()) counter.sent = counter.answered;
  }
}

/** What may be found in a copy that was made between two states of the model. */
export function between(before: Model, after: Model): Model {
  return new Map(
    [...after].map(([user, last]) => {
      const first = before.get(user);
      const counters = [...last.counters].map(([key, { sent }]): [string, Counter] => [
        key,
        { answered: first?.counters.get(key)?.answered ?? 0, sent },
      ]);
      const presence = presenceBetween(first?.presence ?? "asked", last.presence);
      return [user, { ...last, presence, counters: new Map(counters) }];
    }),
  );
}

function presenceBetween(first: Presence, last: Presence): Presence {
  if (first === "there" && last !== "there") return "ending";
  return first;
}
