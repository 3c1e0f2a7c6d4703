import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createRoundRobin } from "../../../src/lib/round-robin.js";

interface Item {
  readonly path: readonly [string, string];
  readonly number: number;
}

const paths = fc.tuple(fc.constantFrom("a", "b", "c"), fc.constantFrom("x", "y"));
const steps = fc.array(fc.oneof(paths, fc.constant("shift")), { maxLength: 100 });

test("an item waits for one item of each other group at most, and those of a group keep order", () =>
  fc.assert(
    fc.property(steps, (taken) => {
      const queue = createRoundRobin<Item>();
      const waiting: { item: Item; others: Map<string, number> }[] = [];
      for (const [number, step] of taken.entries()) {
        if (step !== "shift") {
          const item = { path: step as [string, string], number };
          queue.push(item.path, item);
          waiting.push({ item, others: new Map() });
          assert.equal(queue.size(), waiting.length);
          continue;
        }
        const item = queue.shift();
        if (item === undefined) {
          assert.equal(waiting.length, 0);
          continue;
        }
        const [group, inner] = item.path;
        const at = waiting.findIndex((one) => one.item === item);
        const sameGroup = ({ item: { path } }: (typeof waiting)[number]) => path[0] === group;
        const first = waiting.find((one) => sameGroup(one) && one.item.path[1] === inner);
        assert.equal(first?.item, item);
        waiting.splice(at, 1);
        // Whoever is first of a group was passed by each other group once since its turn began.
        for (const one of waiting) {
          if (sameGroup(one)) {
            one.others.clear();
            continue;
          }
          const passed = (one.others.get(group) ?? 0) + 1;
          assert.ok(passed <= 1, `${group} passed ${one.item.path[0]} twice`);
          one.others.set(group, passed);
        }
      }
    }),
    { numRuns: 500 },
  ));

test("the latest of the largest group gives way, and never to a group as large", () => {
  const queue = createRoundRobin<number>();
  for (let at = 0; at < 4; at++) queue.push(["a", "x"], at);
  for (let at = 4; at < 6; at++) queue.push(["a", "y"], at);
  queue.push(["b", "x"], 6);
  assert.equal(queue.giveWay(["c", "x"]), 3);
  assert.equal(queue.giveWay(["b", "y"]), 2);
  // Within a group its own smaller ones are as much in the right.
  queue.push(["a", "x"], 7);
  assert.equal(queue.giveWay(["a", "z"]), 7);
  assert.equal(queue.giveWay(["a", "x"]), undefined);
  assert.equal(queue.size(), 5);
  const left = Array.from({ length: 5 }, () => queue.shift());
  assert.deepEqual(left, [0, 6, 4, 1, 5]);
  assert.equal(queue.giveWay(["a", "x"]), undefined);
  assert.equal(queue.shift(), undefined);
});
