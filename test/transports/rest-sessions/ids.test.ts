import assert from "node:assert/strict";
import { test } from "node:test";
import { withRest } from "../../support/transports/rest-trial.js";
import { STORES } from "../../support/transports/server.js";

const IDS: Readonly<Record<string, string>> = {
  "an e-mail address": "user@example.com",
  "colon, slash and blank": "a:b/c d",
  Korean: "김민준",
  "an emoji": "👩‍💻🔑",
  "the marks of a query": "a?b=c&d#e;f",
  percent: "100%25%",
  "a parent folder": "..",
  "quotes and a backslash": `"'\\`,
  "a plus": "a+b",
  "a property of objects": "__proto__",
  "a part of a path": "create",
  "the longest, of four bytes each": "🔑".repeat(128),
};

for (const store of STORES) {
  for (const [name, id] of Object.entries(IDS)) {
    test(`an id may be ${name} (${store})`, () =>
      withRest(store, async ({ text, create }) => {
        const path = encodeURIComponent(id);
        const token = await create(`${path}?ip=::1`);
        await create(`${path}?ip=::1`);
        await create(`${encodeURIComponent(`${id.slice(0, -2)}x`)}?ip=::1`);
        const session = `{"id":${JSON.stringify(id)},"r":1,"w":1,"ttl":7200,"idle":0,"ip":"::1"}`;
        assert.equal(
          await text("GET", `/shop/soid/${path}`),
          `{"sessions":[${session},${session}]}`,
        );
        assert.equal(await text("GET", `/shop/get/${token}`), session);
        assert.equal(await text("GET", "/shop/activity?dt=60"), '{"activity":2}');
        assert.equal(await text("DELETE", `/shop/killsoid/${path}`), '{"kill":2}');
        assert.equal(await text("GET", `/shop/soid/${path}`), '{"sessions":[]}');
        assert.equal(await text("GET", "/shop/activity?dt=60"), '{"activity":1}');
      }));
  }
}

test("what may stand in a path as it is needs no encoding", () =>
  withRest("memory", async ({ text, create }) => {
    await create("user@example.com:1,2;3?ip=::1");
    assert.match(await text("GET", "/shop/soid/user%40example.com%3A1%2C2%3B3"), /"id"/);
  }));
