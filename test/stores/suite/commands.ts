import fc from "fast-check";
import { type AppPolicy, NO_POLICY } from "../../../src/domain/sessions/app-policy.js";

export const APPS = ["shop", "blog", "shop-2"];
export const USERS = ["ann", "bob", "a:b/c d", "사용자"];

/** Names a session ever made, by its number modulo how many there are. */
export interface Pick {
  readonly pick: number;
  readonly by: "token" | "id";
  /** The app to name it in, if not its own. */
  readonly strayApp: string | null;
}

/** The limits of a life, in milliseconds from the time they are set. */
export interface Limits {
  readonly idleTtl: number | null;
  readonly absoluteTtl: number | null;
}

/** One step of a random history of a store. */
export type Command =
  | { readonly do: "create"; readonly app: number; readonly user: number; readonly limits: Limits }
  | { readonly do: "setPolicy"; readonly app: number; readonly policy: AppPolicy }
  | { readonly do: "createTaken"; readonly of: Pick }
  | { readonly do: "peek" | "touch" | "delete" | "refuse"; readonly of: Pick }
  | { readonly do: "update"; readonly of: Pick; readonly key: string; readonly value: number }
  | { readonly do: "extend"; readonly of: Pick; readonly limits: Limits }
  | {
      readonly do: "deleteUser";
      readonly app: number;
      readonly user: number;
      readonly keep: Pick | null;
    }
  | { readonly do: "deleteApp"; readonly app: number }
  | {
      readonly do: "list";
      readonly app: number;
      readonly user: number | null;
      readonly limit: number;
      readonly maxBytes: number;
      readonly activeWithin: number | null;
    }
  | { readonly do: "count"; readonly app: number; readonly activeWithin: number }
  | { readonly do: "sweep"; readonly limit: number }
  | { readonly do: "together"; readonly of: readonly Pick[] }
  | { readonly do: "moveClock"; readonly ms: number }
  | { readonly do: "reopen" };

const app = fc.nat(APPS.length - 1);
const user = fc.nat(USERS.length - 1);
const ttl = fc.integer({ min: 1, max: 60 });
const limits = fc.record({ idleTtl: ttl, absoluteTtl: fc.option(ttl, { freq: 1 }) });
const newLimits = fc.record({ idleTtl: fc.option(ttl), absoluteTtl: fc.option(ttl) });
const of: fc.Arbitrary<Pick> = fc.record({
  pick: fc.nat(999),
  by: fc.constantFrom("token", "id"),
  strayApp: fc.oneof(
    { weight: 9, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: app.map((index) => APPS[index] ?? null) },
  ),
});
const word = <T extends string>(text: T) => fc.constant(text);

/** Of what a store obeys. */
export const anyPolicy: fc.Arbitrary<AppPolicy> = fc
  .record({
    maxSessionsPerUser: fc.nat(3),
    atLimit: fc.constantFrom("refuse", "evict_oldest", "evict_least_recently_used"),
    touchInterval: fc.constantFrom(0, 0, 5, 40),
  })
  .map((rules) => ({ ...NO_POLICY, ...rules }));

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: word("create"), app, user, limits }) },
  { weight: 3, arbitrary: fc.record({ do: word("setPolicy"), app, policy: anyPolicy }) },
  { weight: 1, arbitrary: fc.record({ do: word("createTaken"), of }) },
  { weight: 4, arbitrary: fc.record({ do: word("peek"), of }) },
  { weight: 8, arbitrary: fc.record({ do: word("touch"), of }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: word("update"),
      of,
      key: fc.constantFrom("a", "b", "", "__proto__"),
      value: fc.nat(9),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: word("refuse"), of }) },
  { weight: 3, arbitrary: fc.record({ do: word("extend"), of, limits: newLimits }) },
  { weight: 3, arbitrary: fc.record({ do: word("delete"), of }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: word("deleteUser"), app, user, keep: fc.option(of) }),
  },
  { weight: 1, arbitrary: fc.record({ do: word("deleteApp"), app }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: word("list"),
      app,
      user: fc.option(user, { freq: 2 }),
      limit: fc.integer({ min: 1, max: 4 }),
      maxBytes: fc.constantFrom(1, 12, 1_000_000),
      activeWithin: fc.option(fc.nat(40), { freq: 2 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: word("count"), app, activeWithin: fc.nat(40) }) },
  { weight: 2, arbitrary: fc.record({ do: word("sweep"), limit: fc.integer({ min: 1, max: 6 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: word("together"),
      of: fc.array(of, { minLength: 2, maxLength: 6 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: word("moveClock"), ms: fc.integer({ min: -15, max: 25 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: word("reopen") }) },
);

/** Histories of up to `length` commands. */
export function histories(length: number): fc.Arbitrary<Command[]> {
  return fc.array(command, { minLength: 1, maxLength: length, size: "max" });
}
