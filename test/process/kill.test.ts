import assert from "node:assert/strict";
import { once } from "node:events";
import { watch } from "node:fs";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import Sqlite from "better-sqlite3";
import { hashToken } from "../../src/domain/token.js";
import { type Load, startLoad } from "./load.js";
import { type Known, type Model, settle } from "./model.js";
import { createRandom, numberOf, type Random, seedOf } from "./random.js";
import { FREE_PORTS, makeFolder, type Server, startLatchkey, startServer } from "./server.js";
import { survey } from "./survey.js";

/** A kill comes after at most so many calls and then milliseconds. */
const CALLS = 400;
const MILLISECONDS = 10;

/** Every so many kills, the next server is killed as well, while it recovers the file. */
const KILLED_STARTS = 10;

test("what was answered outlives the killing of the server under load", async (t) => {
  const kills = numberOf("TEST_KILLS", 50);
  const seed = seedOf(t);
  const random = createRandom(seed);
  const path = join(await makeFolder(t), "latchkey.db");
  const model: Model = new Map();
  let answered = 0;
  let unanswered = 0;

  let server = await startServer(t, { LATCHKEY_STORE: `sqlite:${path}` });
  for (let kill = 1; kill <= kills; kill++) {
    const load = startLoad(server, model, random);
    const problems = [...(await killUnderLoad(server, load, random))];
    answered += load.answered();
    unanswered += [...model.values()].filter(isUnanswered).length;

    if (kill % KILLED_STARTS === 0) await killWhileStarting(t, path, random);
    server = await startServer(t, { LATCHKEY_STORE: `sqlite:${path}` });
    const { found, problems: contradictions } = await survey(server, path, model);
    report([...problems, ...contradictions], `TEST_SEED=${seed}, kill ${kill}`);
    settle(model, found);
  }
  t.diagnostic(`${kills} kills, ${answered} calls answered, ${unanswered} writes not`);
  // Else the load was none, or the kills came between the calls.
  assert.ok(answered > kills * 20, `only ${answered} calls were answered`);
  assert.ok(unanswered > kills, `only ${unanswered} writes were in flight at a kill`);
});

test("the check notices what a file lost, took back or made up", async (t) => {
  const random = createRandom(seedOf(t));
  const path = join(await makeFolder(t), "latchkey.db");
  const model: Model = new Map();
  const server = await startServer(t, { LATCHKEY_STORE: `sqlite:${path}` });
  const load = startLoad(server, model, random);
  await load.more(1_000);
  report(await killUnderLoad(server, load, random), "before the kill");

  const there = [...model.values()].filter(({ presence }) => presence === "there");
  const [lost, , stale] = there;
  const updated = there.find((known) => known !== lost && known !== stale && updatesOf(known) > 0);
  const ended = [...model.values()].find(({ presence }) => presence === "ended");
  assert.ok(lost && stale && updated && ended);
  const [key, { answered }] = [...updated.counters].find(([, each]) => each.answered > 0) ?? [
    "",
    { answered: 0 },
  ];

  const db = new Sqlite(path);
  db.prepare("DELETE FROM sessions WHERE user_id = ?").run(lost.user);
  db.prepare("UPDATE sessions SET data = json_remove(data, ?) WHERE user_id = ?").run(
    `$.${key}`,
    updated.user,
  );
  db.prepare(
    "UPDATE sessions SET token_hash = ?, session_id = ?, user_id = ? WHERE user_id = ?",
  ).run(Buffer.from(hashToken(ended.token), "base64url"), Buffer.alloc(16), ended.user, stale.user);
  db.close();

  const restarted = await startServer(t, { LATCHKEY_STORE: `sqlite:${path}` });
  const endedToken = ended.token;
  const { problems } = await survey(restarted, path, model);
  for (const expected of [
    `${lost.user}: it is gone`,
    `${lost.user}: its token finds absent`,
    `${updated.user}: ${key} is 0, though ${answered} was answered`,
    `${ended.user}: it is there, though it was ended or never began`,
    `${ended.user}: its token finds ${ended.user}'s session`,
    `${stale.user}: it is gone`,
  ]) {
    assert.ok(problems.includes(expected), `not reported: ${expected}\n${problems.join("\n")}`);
  }
  assert.ok(problems.some((problem) => problem.startsWith("the file counts ")));
  assert.ok(!problems.join().includes(endedToken));
});

/** Kills the server at a moment of the load, and answers what was wrong until then. */
async function killUnderLoad(server: Server, load: Load, random: Random): Promise<string[]> {
  await load.more(random(CALLS));
  await wait(random(MILLISECONDS));
  assert.deepEqual(await server.stop("SIGKILL"), { status: null, signal: "SIGKILL" });
  return load.end;
}

/** Starts a server and kills it once it has begun to work on the file. */
async function killWhileStarting(t: TestContext, path: string, random: Random): Promise<void> {
  const watcher = watch(dirname(path));
  const changed = once(watcher, "change");
  const env = { ...FREE_PORTS, LATCHKEY_STORE: `sqlite:${path}` };
  const program = startLatchkey(t, ["serve"], env);
  await Promise.race([changed, program.waitFor(() => program.output.stdout || undefined)]);
  watcher.close();
  await wait(random(MILLISECONDS));
  program.signal("SIGKILL");
  await program.end;
}

function report(problems: readonly string[], where: string): void {
  if (problems.length > 0) assert.fail(`${where}:\n${problems.join("\n")}`);
}

function isUnanswered({ presence, counters }: Known): boolean {
  return (
    presence === "asked" ||
    presence === "ending" ||
    (presence === "there" && [...counters.values()].some(({ answered, sent }) => sent > answered))
  );
}

function updatesOf({ counters }: Known): number {
  return [...counters.values()].reduce((sum, { answered }) => sum + answered, 0);
}
