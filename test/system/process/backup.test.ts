import assert from "node:assert/strict";
import { once } from "node:events";
import { watch } from "node:fs";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import Sqlite from "better-sqlite3";
import { LatchkeyError } from "../../../src/domain/error.js";
import { backupDatabase } from "../../../src/stores/sqlite/file/backup.js";
import { startLoad } from "../../support/process/load.js";
import { between, type Model } from "../../support/process/model.js";
import { startProgram } from "../../support/process/program.js";
import {
  BIN,
  makeFolder,
  ROOT,
  runLatchkey,
  startLatchkey,
  startServer,
} from "../../support/process/server.js";
import { fileProblems, survey } from "../../support/process/survey.js";
import { createRandom, seedOf } from "../../support/random.js";

const NO_PACE = { clock: () => 0, rest() {}, giveWay() {} };
const oneLine = (text: string) => /^[^\n]+$/.test(text);

test("a copy made under load serves every session that was answered before", async (t) => {
  const folder = await makeFolder(t);
  const path = join(folder, "latchkey.db");
  const env = { LATCHKEY_STORE: `sqlite:${path}` };
  const server = await startServer(t, env);
  const model: Model = new Map();
  const load = startLoad(server, model, createRandom(seedOf(t)));
  await load.more(1_000);

  await mkdir(join(folder, "copies"));
  const copy = join(folder, "copies", "copy.db");
  const before = structuredClone(model);
  const calls = load.answered();
  const run = await runLatchkey(t, ["backup", copy], env);
  const after = structuredClone(model);
  assert.deepEqual(run, { status: 0, signal: null, stdout: "", stderr: "" });
  assert.ok(load.answered() > calls, "nothing was answered during the backup");
  load.stop();
  assert.deepEqual(await load.end, []);

  assert.deepEqual(await readdir(join(folder, "copies")), ["copy.db"]);
  assert.deepEqual(fileProblems(copy), []);
  const second = await startServer(t, { LATCHKEY_STORE: `sqlite:${copy}` });
  const { found, problems } = await survey(second, copy, between(before, after));
  assert.deepEqual(problems, []);
  assert.ok(found.length > 0);
  // The first goes on with what it has.
  assert.deepEqual((await survey(server, path, model)).problems, []);
});

test("a copy of a database without a server has its last touches, and mode 0600", async (t) => {
  const folder = await makeFolder(t);
  const path = join(folder, "latchkey.db");
  const env = { LATCHKEY_STORE: `sqlite:${path}` };
  const server = await startServer(t, env);
  const model: Model = new Map();
  const load = startLoad(server, model, createRandom(seedOf(t)));
  await load.more(200);
  load.stop();
  assert.deepEqual(await load.end, []);
  await server.stop();

  const copy = join(folder, "copy.db");
  const argv = [
    "sh",
    "-c",
    'umask 0 && exec "$0" "$@"',
    process.execPath,
    BIN,
    "backup",
    copy,
  ] as const;
  const program = startProgram(t, { argv, cwd: ROOT, env });
  assert.deepEqual(await program.end, { status: 0, signal: null });
  assert.equal((await stat(copy)).mode & 0o777, 0o600);
  const second = await startServer(t, { LATCHKEY_STORE: `sqlite:${copy}` });
  assert.deepEqual((await survey(second, copy, model, { reads: true })).problems, []);
});

test("a backup that cannot be made leaves nothing, and what was there as it was", async (t) => {
  const folder = await makeFolder(t);
  const path = join(folder, "latchkey.db");
  await (await startServer(t, { LATCHKEY_STORE: `sqlite:${path}` })).stop();
  const garbage = join(folder, "garbage.db");
  await writeFile(garbage, "this is no database, and long enough to be none".repeat(100));
  const existing = join(folder, "existing.db");
  await writeFile(existing, "kept");
  const files = await readdir(folder);

  const to = join(folder, "copy.db");
  const nowhere = join(folder, "missing", "copy.db");
  for (const [source, target, code] of [
    [path, existing, "invalid"],
    [path, path, "invalid"],
    [join(folder, "missing.db"), to, "invalid"],
    [path, nowhere, "unavailable"],
    [garbage, to, "unavailable"],
  ] as const) {
    await assert.rejects(
      backupDatabase(source, target, NO_PACE),
      (error) => error instanceof LatchkeyError && error.code === code && oneLine(error.message),
    );
    assert.deepEqual(await readdir(folder), files);
  }
  assert.equal(await readFile(existing, "utf8"), "kept");
});

test("a copy is of the state at its beginning, made in batches that rest twice as long as they work", async (t) => {
  const folder = await makeFolder(t);
  const [from, to] = [join(folder, "from.db"), join(folder, "to.db")];
  const db = new Sqlite(from);
  db.pragma("journal_mode = WAL");
  db.exec("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)");
  const insert = db.prepare("INSERT INTO rows (text) VALUES (?)");
  db.transaction(() => {
    for (let row = 0; row < 1_000; row++) insert.run("x".repeat(4_000));
  })();

  let now = 0;
  const rests: number[] = [];
  const gaveWayAfter: number[] = [];
  await backupDatabase(from, to, {
    clock: () => (now += 3),
    rest(milliseconds) {
      rests.push(milliseconds);
      if (rests.length <= 20) insert.run("later");
    },
    giveWay: () => void gaveWayAfter.push(rests.length),
  });
  db.close();
  // Of the copy, whose first batch is empty, and of reading it.
  assert.deepEqual(rests, Array(4 + 4).fill(6));
  // The check alone is left then.
  assert.deepEqual(gaveWayAfter, [8]);
  const copy = new Sqlite(to, { readonly: true });
  t.after(() => copy.close());
  const count = (of: Sqlite.Database) => of.prepare("SELECT count(*) FROM rows").pluck().get();
  assert.equal(count(copy), 1_000);
  assert.deepEqual(await readdir(folder), ["from.db", "to.db"]);
});

for (const [what, store, culprit] of [
  ["onto a file that exists", "sqlite:latchkey.db", "existing.db"],
  ["of a store in memory", "memory:", "LATCHKEY_STORE"],
] as const) {
  test(`a backup ${what} ends with status 1 and one line that says so`, async (t) => {
    const cwd = await makeFolder(t);
    for (const file of ["latchkey.db", "existing.db"]) await writeFile(join(cwd, file), "");
    const run = await runLatchkey(t, ["backup", "existing.db"], { LATCHKEY_STORE: store }, cwd);
    assert.deepEqual([run.status, run.stdout], [1, ""]);
    assert.ok(oneLine(run.stderr.trimEnd()) && run.stderr.includes(culprit), run.stderr);
  });
}

test("a backup that was killed is no hindrance to the next", async (t) => {
  const folder = await makeFolder(t);
  const path = join(folder, "latchkey.db");
  const env = { LATCHKEY_STORE: `sqlite:${path}` };
  await (await startServer(t, env)).stop();
  await mkdir(join(folder, "copies"));
  const copy = join(folder, "copies", "copy.db");

  const watcher = watch(join(folder, "copies"));
  const begun = once(watcher, "change");
  const program = startLatchkey(t, ["backup", copy], env);
  await begun;
  watcher.close();
  program.signal("SIGKILL");
  await program.end;
  const left = await readdir(join(folder, "copies"));
  // It has its name only when it is whole.
  if (left.includes("copy.db")) assert.deepEqual(fileProblems(copy), []);

  const other = join(folder, "copies", "other.db");
  const next = left.includes("copy.db") ? other : copy;
  assert.equal((await runLatchkey(t, ["backup", next], env)).status, 0);
  assert.deepEqual(fileProblems(next), []);
});
