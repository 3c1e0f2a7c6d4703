import assert from "node:assert/strict";
import fc from "fast-check";
import { isLive, type Session, touched } from "../../../src/domain/sessions/session.js";
import type { ListQuery } from "../../../src/domain/sessions/session-store.js";
import type { TokenHash } from "../../../src/domain/token.js";
import {
  createMint,
  NOW,
  type OpenedStore,
  type OpenStore,
  runs,
  SHRINKS,
  withStore,
} from "../../support/stores/fixture.js";

const USERS = ["ann", "bob", "a:b/c d"];

/** How a session is made: its user, its life and how long ago it was accessed. */
interface Birth {
  readonly user: number;
  readonly idleTtl: number;
  readonly age: number;
}

/** What happens between two pages. `pick` chooses among the sessions made so far. */
type Event =
  | { readonly kind: "create"; readonly birth: Birth }
  | { readonly kind: "delete" | "touch"; readonly pick: number }
  | { readonly kind: "deleteUser"; readonly user: number }
  | { readonly kind: "sweep" }
  | { readonly kind: "wait"; readonly ms: number };

interface Scenario {
  readonly births: readonly Birth[];
  /** One list for each gap between pages; the last gaps are quiet. */
  readonly gaps: readonly (readonly Event[])[];
  readonly user: number | undefined;
  readonly limit: number;
  readonly maxBytes: number;
  /** How long ago a session may have been accessed and still be shown. */
  readonly activeWithin: number | undefined;
}

/** A session as it must be in the store. */
interface Tracked {
  readonly tokenHash: TokenHash;
  /** Created before the first page was asked for. */
  readonly early: boolean;
  session: Session;
  ended: boolean;
}

const user = fc.nat(USERS.length - 1);
const pick = fc.nat(1_000);
const birth = fc.record({ user, idleTtl: fc.integer({ min: 20, max: 60 }), age: fc.nat(15) });
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("create"), birth }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("delete"), pick }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("touch"), pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("deleteUser"), user }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("sweep") }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait"), ms: fc.integer({ max: 9 }) }) },
);
const scenario: fc.Arbitrary<Scenario> = fc.record({
  births: fc.array(birth, { minLength: 1, maxLength: 30, size: "max" }),
  gaps: fc.array(fc.array(event, { maxLength: 5 }), { maxLength: 12, size: "max" }),
  user: fc.option(user, { nil: undefined }),
  limit: fc.integer({ min: 1, max: 5 }),
  maxBytes: fc.constantFrom(1, 30, Number.MAX_SAFE_INTEGER),
  activeWithin: fc.option(fc.nat(15), { nil: undefined }),
});

/**
 * Whatever comes, goes and is touched between its pages, a listing shows every
 * session that lives through it once, none twice, and each as it is by then.
 */
export function stableListing(open: OpenStore): Promise<void> {
  const property = fc.asyncProperty(fc.limitShrink(scenario, SHRINKS), (one) =>
    withStore(open, (opened) => assertStable(opened, one)),
  );
  return fc.assert(property, { numRuns: runs(30) });
}

async function assertStable({ store }: OpenedStore, scenario: Scenario): Promise<void> {
  const mint = createMint();
  const tracked: Tracked[] = [];
  let now = NOW;

  const create = async ({ user, idleTtl, age }: Birth, early: boolean) => {
    const minted = mint({
      userId: USERS[user] ?? "",
      idleTtl,
      createdAt: now,
      lastAccessedAt: now - age,
      data: { text: "x".repeat(age) },
    });
    await store.create(minted.session, minted.tokenHash);
    tracked.push({ ...minted, early, ended: false });
  };

  const happen = async (event: Event) => {
    if (event.kind === "create") return create(event.birth, false);
    if (event.kind === "sweep") return store.sweep(now, 3);
    if (event.kind === "wait") {
      now += Math.max(0, event.ms);
      return;
    }
    if (event.kind === "deleteUser") {
      const userId = USERS[event.user] ?? "";
      await store.deleteUser("shop", userId, now);
      for (const one of tracked) one.ended ||= one.session.userId === userId;
      return;
    }
    const one = tracked[event.pick % tracked.length];
    if (!one) return;
    if (event.kind === "delete") {
      one.ended = (await store.delete("shop", { tokenHash: one.tokenHash }, now)) || one.ended;
    } else if (await store.touch("shop", one.tokenHash, now)) {
      one.session = touched(one.session, now);
    }
  };

  for (const one of scenario.births) await create(one, true);
  const userId = scenario.user === undefined ? undefined : USERS[scenario.user];
  const activeSince = scenario.activeWithin === undefined ? 0 : now - scenario.activeWithin;
  const query: ListQuery = {
    limit: scenario.limit,
    maxBytes: scenario.maxBytes,
    activeSince,
    ...(userId === undefined ? {} : { userId }),
  };
  const matches = ({ session, ended }: Tracked) =>
    !ended &&
    isLive(session, now) &&
    session.lastAccessedAt >= activeSince &&
    (userId === undefined || session.userId === userId);
  const due = tracked.filter(matches);

  const shown: number[] = [];
  let before: number | null = Number.MAX_SAFE_INTEGER;
  for (let gap = 0; before !== null; gap++) {
    assert.ok(gap <= 100, "the listing does not end");
    const page = await store.list("shop", now, { ...query, before });
    assert.ok(page.sessions.length <= scenario.limit);
    for (const session of page.sessions) {
      const index = tracked.findIndex((one) => one.session.id === session.id);
      const one = tracked[index];
      assert.ok(one && matches(one), "shown, though it is not of this listing");
      assert.deepEqual(session, one.session);
      shown.push(index);
    }
    before = page.next;
    for (const event of scenario.gaps[gap] ?? []) await happen(event);
  }

  const newestFirst = shown.toSorted((a, b) => b - a);
  assert.deepEqual(shown, [...new Set(newestFirst)], "repeated, or out of order");
  for (const one of due) {
    // What matched at first and still does has done so all the time.
    if (matches(one)) assert.ok(shown.includes(tracked.indexOf(one)), "missed");
  }
}
