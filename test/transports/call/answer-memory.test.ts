import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createAnswerMemory } from "../../../src/transports/call/answer-memory.js";

const never = () => assert.fail("it gave way");

test("memory that fits is had at once, and other waits until some is free", async () => {
  const memory = createAnswerMemory({ most: 10, mostOfOne: 10 });
  const first = memory.open("ann", 1, never);
  assert.equal(first.reserve(6), undefined);
  assert.equal(first.reserve(6), undefined, "it has it already");
  const second = memory.open("ann", 1, never);
  const waiting = second.reserve(6);
  assert.ok(waiting instanceof Promise);
  assert.equal(memory.held(), 6);
  first.hold(4);
  await waiting;
  assert.equal(memory.held(), 10);
  first.close();
  second.close();
  second.close();
  assert.equal(memory.held(), 0);
});

test("owners take turns, and connections of an owner", async () => {
  const memory = createAnswerMemory({ most: 1, mostOfOne: 1 });
  const done: string[] = [];
  const first = memory.open("ann", 1, never);
  void first.reserve(1);
  const asked = ["ann 1", "ann 1", "ann 2", "bob 3", "bob 3"].map(async (who) => {
    const [owner = "", connection] = who.split(" ");
    const part = memory.open(owner, connection, never);
    await part.reserve(1);
    done.push(who);
    part.close();
  });
  first.close();
  await Promise.all(asked);
  assert.deepEqual(done, ["ann 1", "bob 3", "ann 2", "bob 3", "ann 1"]);
  assert.equal(memory.held(), 0);
});

test("what yields gives way when it is in the way of others, the longest first, and no more than need be", () => {
  const memory = createAnswerMemory({ most: 12, mostOfOne: 6 });
  const told: string[] = [];
  const open = (owner: string, name: string, bytes: number) => {
    const part = memory.open(owner, name, () => {
      told.push(name);
      part.leave();
    });
    void part.reserve(bytes);
    return part;
  };
  const parts = ["a", "b", "c"].map((name) => open("ann", name, 2));
  for (const part of parts) part.yields(true);
  assert.deepEqual(told, [], "nobody waits");
  open("ann", "d", 2);
  assert.deepEqual(told, ["a"], "for its own owner");
  open("bob", "e", 6);
  assert.deepEqual(told, ["a"], "there is room");
  open("eve", "f", 1);
  assert.deepEqual(told, ["a"], "the first will make room");
  open("eve", "g", 2);
  assert.deepEqual(told, ["a", "b"], "of who holds most and yields");
  parts[0]?.close();
  parts[1]?.close();
  assert.equal(memory.held(), 11);
});

test("a part that is closed waits no more", async () => {
  const memory = createAnswerMemory({ most: 1, mostOfOne: 1 });
  const first = memory.open("ann", 1, never);
  void first.reserve(1);
  const second = memory.open("ann", 2, never);
  const waiting = second.reserve(1);
  second.close();
  await waiting;
  assert.equal(second.reserve(1), undefined);
  first.close();
  assert.equal(memory.held(), 0);
});

test("never more is held than may be, and all are served", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({ owner: fc.constantFrom("a", "b", "c"), bytes: fc.integer({ min: 1, max: 5 }) }),
      ),
      async (asked) => {
        const memory = createAnswerMemory({ most: 8, mostOfOne: 5 });
        const held = new Map<string, number>();
        const change = (owner: string, bytes: number) => {
          held.set(owner, (held.get(owner) ?? 0) + bytes);
          assert.ok((held.get(owner) ?? 0) <= 5);
          assert.ok([...held.values()].reduce((sum, one) => sum + one, 0) <= 8);
        };
        await Promise.all(
          asked.map(async ({ owner, bytes }, index) => {
            const part = memory.open(owner, index % 3, never);
            await part.reserve(bytes);
            change(owner, bytes);
            await new Promise(setImmediate);
            change(owner, -bytes);
            part.close();
          }),
        );
        assert.equal(memory.held(), 0);
      },
    ),
  ));
