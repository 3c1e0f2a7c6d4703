import type { JsonObject } from "@bufbuild/protobuf";
import type { Session } from "../../../gen/ts/latchkey/session/v1/session_pb.js";

/** What the callers know of a session's being there. */
export type Presence = "asked" | "there" | "ending" | "ended";

/** What one worker at a time counts up: 1, 2, 3 and so on. */
interface Counter {
  /** The last value that was answered, and the last that was sent. */
  answered: number;
  sent: number;
}

/** One session as its callers know it. Calls without an answer may have been carried out. */
export interface Known {
  /** What the model calls it. */
  readonly name: string;
  /** Whose it is; a user has a few. */
  readonly user: string;
  /** What it was created with, at key `n`. */
  readonly n: number;
  /** `asked`: its create has no answer; `ending`: its delete has none. */
  presence: Presence;
  /** What opens it; empty if that was in an answer that did not come. */
  token: string;
  /** By the key in its data. */
  readonly counters: Map<string, Counter>;
  /** Of its token. */
  readonly rotations: Counter;
  /** How many reads it has by what was answered. */
  reads: number;
  /** Whether it is ended together with the other sessions of its user. */
  endsWithUser: boolean;
}

/** The sessions of one database file as their callers know them, by name. */
export type Model = Map<string, Known>;

/** The session that is created with `n`, before anything is known of it. */
export function unknown(n: number, user: string): Known {
  return {
    ...{ name: nameOf(n), user, n, presence: "asked", token: "" },
    ...{ counters: new Map(), rotations: { answered: 0, sent: 0 } },
    ...{ reads: 1, endsWithUser: false },
  };
}

function nameOf(n: unknown): string {
  return `session ${n}`;
}

/** What an update that sets the counter `key` to `value` changes: two keys, or it is torn. */
export function updateOf(key: string, value: number): JsonObject {
  return { [key]: value, [`${key}${FILL}`]: fillOf(value) };
}

const FILL = "Fill";

/** Of many lengths, so that sessions fill and leave pages of the file. */
function fillOf(value: number): string {
  return `${value} `.repeat((value * 37) % 150);
}

export interface Checks {
  /** Whether no read may be missing, nor be there without its answer. */
  readonly reads?: boolean;
  /** Whether the file is looked at as well; it is if absent. */
  readonly file?: boolean;
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
    const name = nameOf(session.data?.["n"]);
    const known = model.get(name);
    const report = (problem: string) => problems.push(`${name}: ${problem}`);
    if (seen.has(name)) report("it is there twice");
    seen.add(name);
    if (!known) report("nobody created it");
    else if (known.presence === "ended") {
      report("it is there, though it was ended or never began");
    } else {
      for (const problem of sessionProblems(known, session, reads)) report(problem);
    }
  }
  for (const { name, presence } of model.values()) {
    if (presence === "there" && !seen.has(name)) problems.push(`${name}: it is gone`);
  }
  return [...problems, ...halves(model, seen)];
}

function sessionProblems(known: Known, session: Session, reads: boolean): string[] {
  const problems: string[] = [];
  const data = session.data ?? {};
  if (session.userId !== known.user)
    problems.push(`it is ${session.userId}'s, not ${known.user}'s`);
  let sum = 0;
  const keys = Object.keys(data).filter((key) => key !== "n" && !key.endsWith(FILL));
  for (const key of new Set([...keys, ...known.counters.keys()])) {
    const value = Number(data[key] ?? 0);
    const { answered, sent } = known.counters.get(key) ?? { answered: 0, sent: 0 };
    if (value < answered) problems.push(`${key} is ${value}, though ${answered} was answered`);
    if (value > sent)
      problems.push(`${key} is ${value}, though no more than ${sent} was asked for`);
    if (value > 0 && data[`${key}${FILL}`] !== fillOf(value)) {
      problems.push(`half of the update of ${key} to ${value} is missing`);
    }
    sum += value;
  }
  const { writes, version } = session;
  if (Number(writes) !== 1 + sum) problems.push(`${writes} writes of ${sum} updates`);
  const rotations = Number(version - writes);
  if (rotations < known.rotations.answered) {
    problems.push(`${rotations} rotations, though ${known.rotations.answered} were answered`);
  }
  if (rotations > known.rotations.sent) {
    problems.push(`${rotations} rotations, though ${known.rotations.sent} were asked for`);
  }
  if (reads && Number(session.reads) !== known.reads) {
    problems.push(`${session.reads} reads, though ${known.reads} were answered`);
  }
  return problems;
}

/** Users some of whose sessions are left though all were to be ended at once. */
function halves(model: Model, seen: ReadonlySet<string>): string[] {
  const left = new Map<string, Set<boolean>>();
  for (const { user, name, presence, endsWithUser } of model.values()) {
    if (presence !== "ending" || !endsWithUser) continue;
    left.set(user, (left.get(user) ?? new Set()).add(seen.has(name)));
  }
  return [...left]
    .filter(([, answers]) => answers.size > 1)
    .map(([user]) => `${user}: only some of the sessions are ended`);
}

/** Takes what was found as the truth about the calls that had no answer. */
export function settle(model: Model, found: readonly Session[]): void {
  const byName = new Map(found.map((session) => [nameOf(session.data?.["n"]), session]));
  for (const known of model.values()) {
    const session = byName.get(known.name);
    known.presence = session ? "there" : "ended";
    known.endsWithUser = false;
    known.reads = Number(session?.reads ?? 0);
    for (const [key, counter] of known.counters) {
      set(counter, Number(session?.data?.[key] ?? 0));
    }
    const rotations = Number((session?.version ?? 0n) - (session?.writes ?? 0n));
    // The answer that had the new token did not come.
    if (rotations > known.rotations.answered) known.token = "";
    set(known.rotations, rotations);
  }
}

function set(counter: Counter, value: number): void {
  counter.answered = value;
  counter.sent = value;
}

/** Takes every call that had no answer as one that was not carried out. */
export function denyUnanswered(model: Model): void {
  for (const known of model.values()) {
    if (known.presence === "asked") known.presence = "ended";
    if (known.presence === "ending") known.presence = "there";
    for (const counter of [...known.counters.values(), known.rotations]) {
      counter.sent = counter.answered;
    }
  }
}

/** What may be found in a copy that was made between two states of the model. */
export function between(before: Model, after: Model): Model {
  return new Map(
    [...after].map(([name, last]) => {
      const first = before.get(name);
      const counters = [...last.counters].map(([key, { sent }]): [string, Counter] => [
        key,
        { answered: first?.counters.get(key)?.answered ?? 0, sent },
      ]);
      const presence = presenceBetween(first?.presence ?? "asked", last.presence);
      return [
        name,
        {
          ...last,
          presence,
          // It opens the session also after a rotation, for a while.
          token: first?.token || last.token,
          counters: new Map(counters),
          rotations: { answered: first?.rotations.answered ?? 0, sent: last.rotations.sent },
        },
      ];
    }),
  );
}

function presenceBetween(first: Presence, last: Presence): Presence {
  if (first === "there" && last !== "there") return "ending";
  return first;
}
