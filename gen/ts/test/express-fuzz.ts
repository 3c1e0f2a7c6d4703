import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import session, { type SessionData } from "express-session";
import fc from "fast-check";
import type { LatchkeyStore } from "../src/express-session.js";

/** What an app does to a session that it reads, changes and saves, as requests one after another. */
type Action =
  | { readonly do: "set"; readonly key: string; readonly value: unknown }
  | { readonly do: "nest"; readonly key: string; readonly value: unknown }
  | { readonly do: "remove"; readonly key: string }
  | { readonly do: "touch" | "regenerate" | "destroy" | "saveTwice" };

const key = fc.constantFrom("a", "b", "cart", "passport", "flash");
const value = fc.jsonValue({ maxDepth: 3 });
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ do: fc.constant("set" as const), key, value }),
  fc.record({ do: fc.constant("nest" as const), key, value }),
  fc.record({ do: fc.constant("remove" as const), key }),
  fc.record({ do: fc.constantFrom("touch", "regenerate", "destroy", "saveTwice" as const) }),
);

/** Rejects if a sequence of actions leaves another session than with MemoryStore. */
export async function compareWithMemory(store: LatchkeyStore, runs: number): Promise<void> {
  const sequence = fc.asyncProperty(fc.array(action, { maxLength: 12 }), async (actions) => {
    const [ours, expected] = await Promise.all([
      play(store, actions),
      play(new session.MemoryStore(), actions),
    ]);
    const [got, wanted] = [ours, expected].map((seen) => JSON.stringify(seen));
    if (got !== wanted) throw new Error(`after the actions: ${got} instead of ${wanted}`);
  });
  await fc.assert(sequence, { numRuns: runs });
}

/** Does the actions, and answers what a request after each of them reads. */
async function play(store: session.Store, actions: readonly Action[]): Promise<unknown[]> {
  const get = promisify<string, SessionData | null | undefined>(store.get.bind(store));
  const set = promisify<string, SessionData>(store.set.bind(store));
  const destroy = promisify<string>(store.destroy.bind(store));
  let id = newId();
  const seen: unknown[] = [];
  const read = async () => (await get(id)) ?? ({ cookie: new session.Cookie() } as SessionData);
  for (const one of actions) {
    const data = await read();
    apply(data as never, one);
    if (one.do === "destroy" || one.do === "regenerate") await destroy(id);
    if (one.do === "regenerate") id = newId();
    if (one.do !== "destroy" && one.do !== "regenerate") await set(id, data);
    if (one.do === "saveTwice") await set(id, data);
    const { cookie: _, ...content } = await read();
    seen.push(Object.entries(content).sort(([a], [b]) => (a < b ? -1 : 1)));
  }
  return seen.map(sorted);
}

const newId = () => randomBytes(24).toString("base64url");

function apply(data: Record<string, unknown>, one: Action): void {
  if (one.do === "set") data[one.key] = one.value;
  if (one.do === "remove") Reflect.deleteProperty(data, one.key);
  if (one.do !== "nest") return;
  const inner = data[one.key];
  if (Array.isArray(inner)) inner.push(one.value);
  else if (typeof inner === "object" && inner !== null) Object.assign(inner, { inner: one.value });
  else data[one.key] = [one.value];
}

/** JSON says nothing about the order of keys. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([key, inner]) => [key, sorted(inner)]);
}
