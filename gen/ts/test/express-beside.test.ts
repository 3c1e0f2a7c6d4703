import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { EXPRESSES, play } from "./express/app.js";
import { expectedOf } from "./express/case.js";
import { CASES } from "./express/cases.js";
import { BACKENDS, STORE_NAMES } from "./express/stores.js";

for (const name of STORE_NAMES) {
  const { skip, start } = BACKENDS[name];
  test(`express-session's expectations hold with ${name}`, {
    skip,
    timeout: 300_000,
  }, async (t) => {
    const newStores = await start(t);
    for (const [version, express] of Object.entries(EXPRESSES)) {
      for (const one of CASES) {
        await t.test(`${version}: ${one.title}`, { timeout: 30_000 }, async () => {
          assert.deepEqual(await play(one, express, newStores()), expectedOf(one, name));
        });
      }
    }
  });
}

test("titles of cases name one each", () => {
  const titles = CASES.map(({ title }) => title);
  assert.deepEqual(titles, [...new Set(titles)]);
});

test("docs/clients.md lists the differences between the stores, and no others", async () => {
  const page = await readFile(new URL("../../../docs/clients.md", import.meta.url), "utf8");
  const rows = CASES.flatMap(({ title, differs }) =>
    Object.entries(differs ?? {}).map(([name, { reason }]) => `| ${title} | ${name} | ${reason} |`),
  );
  const [, table = ""] = page.split("| expected | store | what it does instead |\n|---|---|---|\n");
  const listed = table.split("\n\n")[0]?.trimEnd().split("\n");
  assert.deepEqual(listed?.sort(), rows.sort());
  assert.ok(page.includes(`runs ${CASES.length} expectations of express-session`));
});
