import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import Sqlite from "better-sqlite3";
import { hashToken } from "../../../src/domain/token.js";
import { startLoad } from "../../support/process/load.js";
import type { Known, Model } from "../../support/process/model.js";
import { makeFolder, startServer } from "../../support/process/server.js";
import { survey } from "../../support/process/survey.js";
import { createRandom, seedOf } from "../../support/random.js";
import { killUnderLoad } from "../../torture/kills.js";

test("the check notices what a file lost, took back, tore or made up", async (t) => {
  const random = createRandom(seedOf(t));
  const path = join(await makeFolder(t), "latchkey.db");
  const model: Model = new Map();
  const server = await startServer(t, { LATCHKEY_STORE: `sqlite:${path}` });
  const load = startLoad(server, model, random);
  await load.more(1_000);
  assert.deepEqual(await killUnderLoad(server, load, random), []);

  const there = [...model.values()].filter(({ presence }) => presence === "there");
  const [lost, stale] = there;
  const [updated, torn] = there.filter(
    (known) => known !== lost && known !== stale && counterOf(known)[1] > 0,
  );
  const ended = [...model.values()].find(({ presence }) => presence === "ended");
  assert.ok(lost && stale && updated && torn && ended);
  const [key, answered] = counterOf(updated);
  const [tornKey] = counterOf(torn);

  const db = new Sqlite(path);
  const ofN = "WHERE json_extract(data, '$.n') = ?";
  db.prepare(`DELETE FROM sessions ${ofN}`).run(lost.n);
  db.prepare(`UPDATE sessions SET data = json_remove(data, ?) ${ofN}`).run(`$.${key}`, updated.n);
  db.prepare(`UPDATE sessions SET data = json_set(data, ?, 'old') ${ofN}`).run(
    `$.${tornKey}Fill`,
    torn.n,
  );
  db.prepare(
    `UPDATE sessions SET token_hash = ?, session_id = ?, data = json_object('n', ?) ${ofN}`,
  ).run(Buffer.from(hashToken(ended.token), "base64url"), Buffer.alloc(16), ended.n, stale.n);
  db.close();

  const restarted = await startServer(t, { LATCHKEY_STORE: `sqlite:${path}` });
  const endedToken = ended.token;
  const { problems } = await survey(restarted, path, model);
  for (const expected of [
    `${lost.name}: it is gone`,
    `${lost.name}: its token finds absent`,
    `${updated.name}: ${key} is 0, though ${answered} was answered`,
    `${ended.name}: it is there, though it was ended or never began`,
    `${ended.name}: its token finds ${ended.name}`,
    `${stale.name}: it is gone`,
  ]) {
    assert.ok(problems.includes(expected), `not reported: ${expected}\n${problems.join("\n")}`);
  }
  const half = new RegExp(`^${torn.name}: half of the update of ${tornKey} to \\d+ is missing`);
  assert.ok(problems.some((problem) => half.test(problem)));
  assert.ok(problems.some((problem) => problem.startsWith("the file counts ")));
  assert.ok(!problems.join().includes(endedToken));
});

/** A counter of the session whose updates were answered, and up to which. */
function counterOf({ counters }: Known): readonly [string, number] {
  const [key, { answered }] = [...counters].find(([, each]) => each.answered > 0) ?? [
    "",
    { answered: 0 },
  ];
  return [key, answered];
}
