import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_POLICY } from "../../../src/domain/sessions/app-policy.js";
import { createDatabase } from "../../support/stores/database.js";
import { createFaultyDisk, turns } from "../../support/stores/faulty-disk.js";
import { createMint, hasCode, withStore } from "../../support/stores/fixture.js";

const CAP = { ...NO_POLICY, maxSessionsPerUser: 1 };

test("a policy that the disk refuses leaves the one before, and its cap", async () => {
  const disk = createFaultyDisk();
  await withStore(
    () => createDatabase({ openWriter: disk.openWriter }),
    async ({ store, reopen }) => {
      const mint = createMint();
      const [first, second] = [mint(), mint()];
      const begun = [store.setPolicy("shop", CAP), store.create(first.session, first.tokenHash)];
      await disk.drain();
      await Promise.all(begun);

      const refused = store.setPolicy("shop", NO_POLICY);
      const created = store.create(second.session, second.tokenHash);
      const outcomes = Promise.allSettled([refused, created]);
      await turns(2);
      await disk.drain(["SQLITE_FULL"]);
      const [policy] = await outcomes;
      assert.equal(policy.status, "rejected");
      assert.deepEqual(store.policy("shop"), CAP);

      await disk.calm();
      const third = mint();
      await assert.rejects(store.create(third.session, third.tokenHash), hasCode("limit"));
      const reopened = await reopen();
      assert.deepEqual(reopened.policy("shop"), CAP);
      await assert.rejects(reopened.create(third.session, third.tokenHash), hasCode("limit"));
    },
  );
});
