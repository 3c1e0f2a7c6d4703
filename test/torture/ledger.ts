import type { Session } from "../../src/domain/sessions/session.js";
import type { SessionStore } from "../../src/domain/sessions/session-store.js";
import { hashToken, type TokenHash } from "../../src/domain/token.js";
import { listAll, NOW } from "../support/stores/fixture.js";

/** Of every session that a scribe writes. */
export const APP = "shop";

/** What a session is after so many updates and rotations. */
export interface State {
  readonly updates: number;
  readonly rotations: number;
}

/** One session as the scribe's lines tell of it; null: it is not there. */
interface Entry {
  answered: State | null;
  /** What a call without an answer, or with an uncertain one, asked for. */
  maybe: State | null | undefined;
  /** Whether `maybe` may have come about for good: calls after that are refused. */
  isUncertain: boolean;
}

/** What a scribe may be found to have written. */
export interface Ledger {
  readonly entries: ReadonlyMap<number, Entry>;
  /** Writes that were answered. */
  readonly answered: number;
  /** Refused as not carried out, and as uncertain. */
  readonly refused: number;
  readonly unknown: number;
  /** What a scribe must never tell. */
  readonly problems: readonly string[];
}

/**
 * Reads a scribe's lines: `ask N U R` before a call that brings session N to U updates and R
 * rotations (`ask N gone`: that ends it), and after it `done N`, `refused N` (it was not carried
 * out) or `unknown N`; `fatal` when the store says that only a restart is safe; `error …`.
 */
export function readLedger(lines: Iterable<string>): Ledger {
  const entries = new Map<number, Entry>();
  const problems: string[] = [];
  /** Sessions that a call is about which came after `fatal`. */
  const late = new Set<string>();
  const counts = { done: 0, refused: 0, unknown: 0 };
  let isFatal = false;
  for (const line of lines) {
    const [what = "", n = "", updates = "", rotations = ""] = line.split(" ");
    const entry: Entry = entries.get(Number(n)) ?? {
      ...{ answered: null, maybe: undefined, isUncertain: false },
    };
    switch (what) {
      case "ask":
        entries.set(Number(n), entry);
        if (isFatal) late.add(n);
        if (entry.isUncertain) break;
        entry.maybe =
          updates === "gone" ? null : { updates: Number(updates), rotations: Number(rotations) };
        break;
      case "done":
        entry.answered = entry.maybe ?? null;
        entry.maybe = undefined;
        counts.done++;
        if (late.has(n)) problems.push(`session ${n}: a write was answered after the store failed`);
        break;
      case "refused":
        if (!entry.isUncertain) entry.maybe = undefined;
        counts.refused++;
        break;
      case "unknown":
        entry.isUncertain = true;
        counts.unknown++;
        if (late.has(n)) problems.push(`session ${n}: a late write is not refused`);
        break;
      case "fatal":
        if (isFatal) problems.push("the store failed twice");
        isFatal = true;
        break;
      default:
        problems.push(`the scribe tells: ${line}`);
    }
  }
  if (counts.unknown > 0 && !isFatal) problems.push("an uncertain write, and no failure");
  return { entries, answered: counts.done, problems, ...counts };
}

/** How the session was made, changed and named, to be found again. */
export function tokenOf(n: number, { rotations }: Pick<State, "rotations">): TokenHash {
  return hashToken(`token ${n} ${rotations}`);
}

export function dataOf(n: number, { updates }: Pick<State, "updates">): Session["data"] {
  return { n, updates, fill: `${n}.${updates} `.repeat((n * 131 + updates * 37) % 1_000) };
}

/** Every way in which a store contradicts the ledger. */
export async function ledgerProblems({ entries }: Ledger, store: SessionStore): Promise<string[]> {
  const problems: string[] = [];
  const sessions = await listAll(store, APP, NOW);
  const found = new Map(sessions.map((session) => [Number(session.data["n"]), session]));
  if (found.size !== sessions.length) problems.push("a session is there twice");
  for (const n of found.keys()) if (!entries.has(n)) problems.push(`session ${n}: nobody made it`);
  for (const [n, { answered, maybe }] of entries) {
    const session = found.get(n);
    const state = session ? stateOf(session) : null;
    const may = maybe === undefined ? [answered] : [answered, maybe];
    if (!may.some((one) => isSame(one, state))) {
      problems.push(`session ${n}: ${JSON.stringify(state)}, not ${JSON.stringify(may)}`);
    }
    if (!session || !state) continue;
    if (JSON.stringify(session.data) !== JSON.stringify(dataOf(n, state))) {
      problems.push(`session ${n}: its data is torn`);
    }
    const byToken = await store.peek(APP, tokenOf(n, state), NOW);
    if (byToken?.id !== session.id) problems.push(`session ${n}: its token does not find it`);
  }
  const count = store.stats().sessions;
  if (count !== sessions.length)
    problems.push(`${count} sessions counted, ${sessions.length} there`);
  return problems;
}

function stateOf({ data, version, writes }: Session): State {
  return { updates: Number(data["updates"]), rotations: version - writes };
}

function isSame(one: State | null, other: State | null): boolean {
  return one?.updates === other?.updates && one?.rotations === other?.rotations;
}
