import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { hashApiKey } from "../../../src/domain/accounts/account.js";
import { createPasswords } from "../../../src/services/logins/passwords.js";
import { openGrpc } from "../../support/process/grpc-wire.js";
import { startProgram } from "../../support/process/program.js";
import { BIN, makeFolder, ROOT, runLatchkey, startServer } from "../../support/process/server.js";
import { done } from "../../support/process/wire.js";
import { openAccounts } from "../../support/stores/database.js";

const PASSWORD = "correct horse battery";
const KEY = /^lk_[A-Za-z0-9_-]{43}\n$/;

/** The command line over the database in a new folder. */
async function createTrial(t: TestContext) {
  const folder = await makeFolder(t);
  const path = join(folder, "data", "latchkey.db");
  const env = { LATCHKEY_STORE: `sqlite:${path}` };

  /** Starts `latchkey account …` with an input to write to. */
  const start = (...args: string[]) => {
    const argv = [process.execPath, BIN, "account", ...args] as const;
    return startProgram(t, { argv, cwd: ROOT, env, hasInput: true });
  };
  /** Runs it to its end with `input`; null leaves the input open. */
  const feed = async (input: string | null, ...args: string[]) => {
    const program = start(...args);
    if (input !== null) {
      program.write(input);
      program.endInput();
    }
    const ending = await program.end;
    return { ...ending, ...program.output };
  };
  const run = (...args: string[]) => feed(null, ...args);
  /** What a command that must succeed prints. */
  const print = async (...args: string[]) => {
    const { status, stdout, stderr } = await run(...args);
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const load = async () => {
    const store = openAccounts(path);
    const { accounts } = await store.load();
    store.close();
    return accounts;
  };
  const hashOf = async (name: string) =>
    (await load()).find(({ account }) => account.name === name)?.passwordHash ?? null;
  return { folder, path, env, start, feed, run, print, load, hashOf };
}

/** Whether a run ended with status 1, silent but for one line that has all of these. */
function assertRefused(
  run: { status: number | null; stdout: string; stderr: string },
  ...parts: string[]
): void {
  assert.deepEqual({ status: run.status, stdout: run.stdout }, { status: 1, stdout: "" });
  assert.match(run.stderr, /^[^\n]+\n$/);
  for (const part of parts) assert.ok(run.stderr.includes(part), run.stderr);
}

test("accounts are added, listed, disabled, enabled and removed", async (t) => {
  const { run, print, load } = await createTrial(t);
  await print("add", "shop frontend", "--apps", "shop,forum-*", "--rke");
  await print("add", "root", "--role", "Admin");
  assertRefused(await run("add", "root"), "root", "already");
  await print("disable", "root");
  assert.deepEqual(
    (await load()).map(({ account }) => account),
    [
      {
        id: 1,
        name: "shop frontend",
        role: "User",
        apps: ["shop", "forum-*"],
        rke: true,
        enabled: true,
      },
      { id: 2, name: "root", role: "Admin", apps: [], rke: false, enabled: false },
    ],
  );
  assert.equal(
    await print("list"),
    [
      "NAME           ROLE   APPS          RKE  ENABLED  PASSWORD  KEYS",
      "shop frontend  User   shop,forum-*  yes  yes      no        0",
      "root           Admin  all           no   no       no        0",
      "",
    ].join("\n"),
  );
  await print("enable", "root");
  await print("remove", "shop frontend");
  const listed: unknown = JSON.parse(await print("list", "--json"));
  assert.deepEqual(listed, [
    {
      id: 2,
      name: "root",
      role: "Admin",
      apps: [],
      rke: false,
      enabled: true,
      password: false,
      keys: 0,
    },
  ]);
});

test("a password is the first line of the input, which may stay open", async (t) => {
  const { feed, start, print, hashOf } = await createTrial(t);
  const { verify } = createPasswords();
  assert.equal((await feed(`${PASSWORD}\n`, "add", "ann", "--password-stdin")).status, 0);
  assert.equal(await verify(await hashOf("ann"), PASSWORD), true);

  for (const [input, password] of [
    ["without an end of line", "without an end of line"],
    ["of Windows, größer\r\nand more\n", "of Windows, größer"],
  ] as const) {
    assert.equal((await feed(input, "passwd", "ann")).status, 0);
    assert.equal(await verify(await hashOf("ann"), password), true);
  }

  await print("add", "bob");
  assert.equal(await hashOf("bob"), null);
  const program = start("passwd", "bob");
  program.write(`${PASSWORD}\n`);
  assert.deepEqual(await program.end, { status: 0, signal: null });
  assert.equal(await verify(await hashOf("bob"), PASSWORD), true);
});

test("a terminal is asked twice, and shows nothing of what is typed", async (t) => {
  if (process.platform !== "linux") return t.skip("script(1) is another program elsewhere");
  const { path, env, print, hashOf } = await createTrial(t);
  const { verify } = createPasswords();
  await print("add", "ann");

  const ask = async (...answers: string[]) => {
    const command = `'${process.execPath}' '${BIN}' account passwd ann`;
    const argv = ["script", "--quiet", "--return", "--command", command, "/dev/null"] as const;
    const terminal = startProgram(t, { argv, cwd: ROOT, env, hasInput: true, hasChildren: true });
    const questions = ["New password: ", "The same again: "];
    for (const [at, answer] of answers.entries()) {
      const question = questions[at] ?? "";
      await terminal.waitFor(() => terminal.output.stdout.includes(question) || undefined);
      terminal.write(`${answer}\r`);
    }
    const { status } = await terminal.end;
    for (const answer of answers) assert.ok(!terminal.output.stdout.includes(answer));
    return { status, shown: terminal.output.stdout };
  };
  const { status, shown } = await ask(PASSWORD, PASSWORD);
  assert.deepEqual([status, shown.trim()], [0, "New password: \r\nThe same again:"], path);
  assert.equal(await verify(await hashOf("ann"), PASSWORD), true);

  const differing = await ask("another password", "yet another one");
  assert.equal(differing.status, 1);
  assert.match(differing.shown, /the two passwords differ/);
  const cancelled = await ask("\u0003");
  assert.equal(cancelled.status, 1);
  assert.match(cancelled.shown, /no password was given/);
  assert.equal(await verify(await hashOf("ann"), PASSWORD), true);
});

test("a key is printed alone, once, and listed without itself", async (t) => {
  const { run, print, load } = await createTrial(t);
  await print("add", "ann");
  const added = await run("key", "add", "ann", "--label", "front end", "--expires", "30");
  assert.equal(added.status, 0);
  assert.match(added.stdout, KEY);
  assert.match(added.stderr, /^key 1: [^\n]+\n$/);
  await print("key", "add", "ann", "--label", "forever");
  await print("key", "add", "ann", "--label", "day", "--expires", "2999-02-28");
  await print("key", "add", "ann", "--label", "hour", "--expires", "2999-02-28T12:30Z");

  const keys = (await load())[0]?.keys ?? [];
  assert.equal(keys[0]?.hash, hashApiKey(added.stdout.trim()));
  assert.deepEqual(
    keys.map(({ createdAt, expiresAt }, at) =>
      at === 0 ? (expiresAt ?? 0) - createdAt : expiresAt,
    ),
    [30 * 86_400_000, null, Date.parse("2999-03-01"), Date.parse("2999-02-28T12:30Z")],
  );

  const table = await print("key", "list", "ann");
  assert.match(table, /^ID {2}LABEL {6}CREATED +EXPIRES +LAST USED\n1 {3}front end {2}.* never\n/);
  const json = await print("key", "list", "ann", "--json");
  assert.deepEqual(Object.keys(JSON.parse(json)[0]), [
    "id",
    "label",
    "created_at",
    "expires_at",
    "last_used_at",
  ]);
  for (const text of [table, json]) assert.ok(!text.includes("lk_"));

  await print("key", "revoke", "ann", "1");
  assertRefused(await run("key", "revoke", "ann", "1"), "ann has no key 1");
  assert.deepEqual(
    (await load())[0]?.keys.map(({ id }) => id),
    [2, 3, 4],
  );
});

test("what is wrong is refused in one line that names it, and changes nothing", async (t) => {
  const { feed, run, print, load, env } = await createTrial(t);
  assertRefused(await run("list"), "no database", env.LATCHKEY_STORE.slice(7));
  await print("add", "ann");
  const before = await load();
  const key = ["key", "add", "ann", "--label"];
  for (const [args, ...parts] of [
    [["add", "a:b"], "name", "colon"],
    [["add", ""], "name"],
    [["add", "bob", "--apps", "shop,*"], "apps"],
    [["add", "bob", "--apps", ""], "apps"],
    [["add", "bob", "--role", "root"], "Admin, User"],
    [["passwd", "nobody"], "no account nobody"],
    [["disable", "nobody"], "no account nobody"],
    [["remove", "nobody"], "no account nobody"],
    [["key", "list", "nobody"], "no account nobody"],
    [["key", "add", "ann"], "--label"],
    [[...key, ""], "label"],
    [[...key, "x", "--expires", "0"], "--expires"],
    [[...key, "x", "--expires", "2020-01-01"], "--expires", "past"],
    [[...key, "x", "--expires", "2999-02-29"], "--expires", "date"],
    [[...key, "x", "--expires", "soon"], "--expires", "date"],
    [["key", "revoke", "ann", "x"], "number"],
    // Words that would show in a list of processes are no way to give a password.
    [["passwd", "ann", PASSWORD], "too many arguments"],
    [["add", "bob", "--password", PASSWORD], "unknown option"],
  ] as const) {
    assertRefused(await run(...args), ...parts);
  }
  for (const [input, ...parts] of [
    ["", "no password"],
    ["short\n", "password", "8 to 256"],
    ["\n", "password", "8 to 256"],
  ] as const) {
    assertRefused(await feed(input, "passwd", "ann"), ...parts);
  }
  assert.deepEqual(await load(), before);

  const inMemory = await runLatchkey(t, ["account", "list"], { LATCHKEY_STORE: "memory:" });
  assertRefused(inMemory, "memory:", "sqlite:PATH");
});

test("a server logs every change once, in order, with who made it and where", async (t) => {
  const { env, start, print } = await createTrial(t);
  await print("add", "before", "--apps", "shop");
  const server = await startServer(t, { ...env, LATCHKEY_AUTH: "required" });
  const changes = () => server.log().filter(({ msg }) => msg === "account changed");
  const who = (pid = "\\d+") => new RegExp(`^\\S+@\\S+ \\(pid ${pid}\\)$`);

  const began = Date.now();
  await print("add", "ann");
  await print("key", "add", "ann", "--label", "x");
  await print("key", "revoke", "ann", "1");
  // One after another, and at once.
  const names = ["one", "two", "three"];
  const programs = names.map((name) => start("add", name));
  for (const program of programs) assert.equal((await program.end).status, 0);
  await print("enable", "ann");
  await print("disable", "before");
  await print("remove", "before");
  await server.logged("account changed", (line) => line["change"] === "removed");
  await server.stop();

  const lines = changes();
  const told = lines.map(({ account, change, keyId }) => [account, change, keyId]);
  assert.deepEqual(told.slice(0, 3), [
    ["ann", "added", undefined],
    ["ann", "key added", 1],
    ["ann", "key revoked", 1],
  ]);
  assert.deepEqual(
    told
      .slice(3, 6)
      .map(([account]) => account)
      .sort(),
    [...names].sort(),
  );
  assert.deepEqual(told.slice(6), [
    ["before", "disabled", undefined],
    ["before", "removed", undefined],
  ]);
  for (const [at, name] of names.entries()) {
    const line = lines.find(({ account }) => account === name);
    assert.match(String(line?.["actor"]), who(String(programs[at]?.pid)));
  }
  for (const { actor, at } of lines) {
    assert.match(String(actor), who());
    const time = Date.parse(String(at));
    assert.ok(time >= began && time <= Date.now());
  }
  const { username } = userInfo();
  assert.ok(String(lines[0]?.["actor"]).startsWith(`${username}@${hostname()} `));
});

test("accounts change beside a server, which serves on", async (t) => {
  const { env, print, load } = await createTrial(t);
  const server = await startServer(t, env);
  const wire = openGrpc(server.grpc);
  t.after(() => wire.close());
  const { token } = done(await wire.create("ann", {}));
  await print("add", "ann", "--apps", "shop");
  await print("key", "add", "ann", "--label", "x");
  done(await wire.update(token, { still: "served" }));
  await print("disable", "ann");
  assert.equal(done(await wire.peek(token)).userId, "ann");
  await server.stop();
  assert.equal((await load())[0]?.account.enabled, false);
});

test("no process list and no file of the database shows a password or a key", async (t) => {
  const { path, start, feed, print } = await createTrial(t);
  await feed(`${PASSWORD}\n`, "add", "ann", "--password-stdin");
  const key = (await print("key", "add", "ann", "--label", "front end")).trim();

  const program = start("passwd", "ann");
  program.write(PASSWORD);
  if (process.platform === "linux") {
    const shown = ["cmdline", "environ"].map((file) =>
      readFileSync(`/proc/${program.pid}/${file}`, "utf8"),
    );
    assert.ok(shown[0]?.includes("passwd"));
    assert.ok(!shown.join().includes(PASSWORD));
  }
  program.endInput();
  assert.deepEqual(await program.end, { status: 0, signal: null });

  const folder = join(path, "..");
  const bytes = Buffer.concat(readdirSync(folder).map((file) => readFileSync(join(folder, file))));
  // The search finds what is there.
  assert.ok(bytes.includes("front end"));
  for (const secret of [PASSWORD, key, key.slice(3)]) {
    assert.ok(!bytes.includes(secret));
    assert.ok(!bytes.includes(Buffer.from(secret, "utf16le")));
    assert.ok(!bytes.includes(Buffer.from(secret).toString("base64").slice(0, 20)));
  }
  assert.ok(!bytes.includes(Buffer.from(key.slice(3), "base64url")));
});
