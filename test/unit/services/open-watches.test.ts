import assert from "node:assert/strict";
import { test } from "node:test";
import { createOpenWatches } from "../../../src/services/watches/open-watches.js";
import { hasCode } from "../../support/stores/fixture.js";

test("an owner has so many watches, and all together have", () => {
  const open = createOpenWatches({ most: 3, mostOfOne: 2 });
  const first = open.enter("ann");
  open.enter("ann");
  assert.throws(() => open.enter("ann"), hasCode("limit"));
  open.enter("bob");
  assert.throws(() => open.enter("eve"), hasCode("limit"));
  first();
  first();
  assert.equal(open.count(), 2);
  open.enter("eve");
  assert.throws(() => open.enter("ann"), hasCode("limit"));
});

test("one account may watch each of 10,000 users, and another beside it", () => {
  const open = createOpenWatches({});
  for (const owner of [1, 2]) for (let n = 0; n < 10_000; n++) open.enter(owner);
  assert.equal(open.count(), 20_000);
});
