import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createRing, idOf, keyOf, originOf } from "../support/rke/ring.js";

const SLOTS = 3;
const CACHED = 2;
const LIFE = 20;

/** One step of a random history of a keyring. `of` counts sessions, or places, from the first. */
type Command =
  | { readonly do: "reserve" | "close" | "sweep" | "list" }
  | { readonly do: "open" | "release"; readonly of: number }
  | { readonly do: "get" | "use" | "delete"; readonly of: number }
  | { readonly do: "remember"; readonly domain: string; readonly life: number }
  | { readonly do: "recall" | "forget"; readonly domain: string }
  | { readonly do: "moveClock"; readonly ms: number };

const of = fc.nat(7);
const domain = fc.constantFrom("a", "b", "c");
const word = <T extends string>(...texts: T[]) => fc.constantFrom(...texts);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: word("reserve") }) },
  { weight: 3, arbitrary: fc.record({ do: word("sweep", "list") }) },
  { weight: 8, arbitrary: fc.record({ do: word("open", "open", "open", "release"), of }) },
  { weight: 9, arbitrary: fc.record({ do: word("get", "use", "delete"), of }) },
  { weight: 3, arbitrary: fc.record({ do: word("remember"), domain, life: fc.nat(40) }) },
  { weight: 4, arbitrary: fc.record({ do: word("recall", "forget"), domain }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: word("moveClock"), ms: fc.integer({ min: -3, max: 9 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: word("close") }) },
);

/** What a keyring must hold: the rules of its interface, without memory. */
function createModel() {
  const sessions = new Map<string, { key: string; expiresAt: number }>();
  const cache = new Map<string, { key: string; expiresAt: number }>();
  const places: { key: string; state: "reserved" | "gone" }[] = [];
  return { sessions, cache, places, now: 0, isClosed: false };
}

test("a keyring keeps to its rules, and no key stays in memory that is not held", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 60, size: "max" }), async (commands) => {
      const { keyring, keysInMemory } = createRing({ slots: SLOTS, cachedKeys: CACHED });
      const model = createModel();
      const slots: (ReturnType<typeof keyring.reserve> | undefined)[] = [];
      let made = 0;
      const find = (id: string) => {
        const found = model.sessions.get(id);
        if (found && model.now >= found.expiresAt) model.sessions.delete(id);
        return model.sessions.get(id) ?? null;
      };
      const expire = (from: typeof model.sessions) => {
        for (const [name, { expiresAt }] of from) if (model.now >= expiresAt) from.delete(name);
      };
      const reserved = () => model.places.filter(({ state }) => state === "reserved");

      for (const step of commands) {
        const { now } = model;
        switch (step.do) {
          case "moveClock":
            model.now += step.ms;
            break;
          case "reserve": {
            expire(model.sessions);
            const isFree = !model.isClosed && model.sessions.size + reserved().length < SLOTS;
            const slot = keyring.reserve(now);
            assert.equal(slot !== null, isFree);
            if (!slot) break;
            const key = keyOf(`slot ${slots.length}`);
            key.copy(slot.key);
            slots.push(slot);
            model.places.push({ key: key.toString("hex"), state: "reserved" });
            break;
          }
          case "release":
            slots[step.of]?.release();
            if (model.places[step.of]) (model.places[step.of] ?? assert.fail()).state = "gone";
            break;
          case "open": {
            const place = model.places[step.of];
            // A place is used once: that is what its interface asks of callers.
            if (place?.state !== "reserved") break;
            place.state = "gone";
            const id = idOf(made++);
            const open = () =>
              slots[step.of]?.open(id, originOf("a"), { createdAt: now, expiresAt: now + LIFE });
            if (model.isClosed) {
              assert.throws(open);
              break;
            }
            open();
            model.sessions.set(id, { key: place.key, expiresAt: now + LIFE });
            break;
          }
          case "get":
            assert.equal(keyring.get(idOf(step.of), now) !== null, find(idOf(step.of)) !== null);
            break;
          case "use":
            assert.equal(
              keyring.use(idOf(step.of), now, (key) => key.toString("hex")),
              find(idOf(step.of))?.key ?? null,
            );
            break;
          case "delete": {
            const found = find(idOf(step.of));
            assert.equal(keyring.delete(idOf(step.of), now) !== null, found !== null);
            model.sessions.delete(idOf(step.of));
            break;
          }
          case "list":
            assert.deepEqual(
              keyring.list(now).map(({ id }) => id),
              [...model.sessions].filter(([, { expiresAt }]) => now < expiresAt).map(([id]) => id),
            );
            break;
          case "sweep":
            await keyring.sweep(now);
            expire(model.sessions);
            expire(model.cache);
            break;
          case "remember": {
            const key = keyOf(`cached ${made++}`);
            keyring.remember(originOf(step.domain), key, now + step.life);
            if (model.isClosed) break;
            model.cache.delete(step.domain);
            if (model.cache.size === CACHED) {
              const [first] = [...model.cache].sort(([, a], [, b]) => a.expiresAt - b.expiresAt);
              model.cache.delete(first?.[0] ?? assert.fail());
            }
            model.cache.set(step.domain, { key: key.toString("hex"), expiresAt: now + step.life });
            break;
          }
          case "recall": {
            const into = Buffer.alloc(32);
            const found = keyring.recall(step.domain, now, into);
            const kept = model.cache.get(step.domain);
            if (kept && now >= kept.expiresAt) model.cache.delete(step.domain);
            const live = model.cache.get(step.domain);
            assert.equal(found?.domain, live && step.domain);
            assert.equal(into.toString("hex"), live?.key ?? "00".repeat(32));
            break;
          }
          case "forget":
            keyring.forget(step.domain);
            model.cache.delete(step.domain);
            break;
          case "close":
            keyring.close();
            model.isClosed = true;
            model.sessions.clear();
            model.cache.clear();
            for (const place of model.places) place.key = "";
            break;
        }
        const held = [...model.sessions.values(), ...model.cache.values(), ...reserved()];
        assert.deepEqual(
          keysInMemory(),
          held
            .map(({ key }) => key)
            .filter(Boolean)
            .sort(),
        );
        assert.deepEqual(keyring.stats(), {
          slots: SLOTS,
          sessions: model.sessions.size,
          reserved: reserved().length,
          cachedKeys: model.cache.size,
        });
      }
    }),
    { numRuns: 300 },
  );
});
