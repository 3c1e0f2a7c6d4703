import assert from "node:assert/strict";
import { test } from "node:test";
import { startServer } from "../../../test/support/process/server.js";
import { launchBrowser, NO_BROWSER, openStage } from "../../../test/system/browser/stage.js";
import { bundle } from "./bundle.js";

test("a page takes in nothing of Node, and no transport but its own", async () => {
  const { inputs } = await bundle("web-page.ts");
  const strangers = inputs.filter((file) => /grpc-js|connect-node|express|fastify/.test(file));
  assert.deepEqual(strangers, []);
  await assert.rejects(bundle("../src/index.ts"), /node:/);
});

test("a page calls, watches and gets typed errors", { skip: NO_BROWSER }, async (t) => {
  const { text } = await bundle("web-page.ts");
  const stage = await openStage((_, answer) => {
    answer.writeHead(200, { "content-type": "text/html" });
    answer.end(`<!doctype html><script type="module">${text}</script>`);
  });
  t.after(() => stage.close());
  const origin = `http://app.test:${stage.port}`;
  const env = { LATCHKEY_STORE: "memory:", LATCHKEY_HTTP_ORIGINS: origin };
  const { http } = await startServer(t, env);
  const browser = await launchBrowser();
  t.after(() => browser.close());
  const page = await browser.newPage();
  await page.goto(origin);
  assert.deepEqual(await page.evaluate(`run("http://${http}")`), {
    user: "김하나 😀",
    data: { n: 2 },
    told: ["snapshot", "snapshotEnd", "events"],
    error: ["NotFound", "NOT_FOUND"],
  });
  // A port that browsers do not refuse by themselves, and where nobody listens.
  assert.equal(await page.evaluate('fail("http://127.0.0.1:8")'), "Unavailable");
});
