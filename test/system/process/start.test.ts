import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdir, readdir, stat, symlink, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import Sqlite from "better-sqlite3";
import { missingFlags } from "../../../src/cli/runtime.js";
import { SETTINGS } from "../../../src/config/settings.js";
import { openGrpc } from "../../support/process/grpc-wire.js";
import { openHttp } from "../../support/process/http-wire.js";
import { startProgram } from "../../support/process/program.js";
import {
  BIN,
  FREE_PORTS,
  makeFolder,
  ROOT,
  runLatchkey,
  runRefused,
  serverOf,
  startLatchkey,
  startServer,
} from "../../support/process/server.js";
import { done } from "../../support/process/wire.js";

const IN_MEMORY = { ...FREE_PORTS, LATCHKEY_STORE: "memory:" };

/** Whether a program ended with status 1, silent but for one line that has all of these. */
function assertRefused(
  run: Awaited<ReturnType<typeof runRefused>>,
  ...parts: readonly (string | RegExp)[]
): void {
  assert.deepEqual({ status: run.status, stdout: run.stdout }, { status: 1, stdout: "" });
  assert.match(run.stderr, /^[^\n]+\n$/);
  for (const part of parts) {
    if (typeof part === "string") assert.ok(run.stderr.includes(part), run.stderr);
    else assert.match(run.stderr, part);
  }
}

test("a database has one server; another is refused, and takes over once the first is gone", async (t) => {
  const folder = await makeFolder(t);
  const path = join(folder, "data", "latchkey.db");
  const env = { ...FREE_PORTS, LATCHKEY_STORE: `sqlite:${path}` };
  const first = await startServer(t, env);
  const wire = openGrpc(first.grpc);
  const { token } = done(await wire.create("ann", {}));

  await symlink(join(folder, "data"), join(folder, "elsewhere"));
  const alias = `sqlite:${join(folder, "elsewhere", "latchkey.db")}`;
  assertRefused(await runRefused(t, env), path);
  assertRefused(await runRefused(t, { ...env, LATCHKEY_STORE: alias }), path);
  assert.equal(done(await wire.peek(token)).userId, "ann");
  done(await wire.update(token, { still: "served" }));
  wire.close();

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const server = signal === "SIGTERM" ? first : await startServer(t, env);
    await server.stop(signal);
    const next = await startServer(t, env);
    const nextWire = openGrpc(next.grpc);
    assert.deepEqual(done(await nextWire.peek(token)).data, { still: "served" });
    nextWire.close();
    await next.stop("SIGKILL");
  }
});

test("the files of a database are closed to other users", async (t) => {
  const folder = join(await makeFolder(t), "data");
  const env = { ...FREE_PORTS, LATCHKEY_STORE: `sqlite:${join(folder, "latchkey.db")}` };
  const argv = ["sh", "-c", 'umask 0 && exec "$0" "$@"', process.execPath, BIN, "serve"] as const;
  const server = await serverOf(startProgram(t, { argv, cwd: ROOT, env }), env);
  const wire = openGrpc(server.grpc);
  done(await wire.create("ann", {}));
  wire.close();

  const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
  assert.equal(await mode(folder), "700");
  const modes = new Map<string, string>();
  for (const file of await readdir(folder)) modes.set(file, await mode(join(folder, file)));
  assert.ok(modes.has("latchkey.db") && modes.has("latchkey.db-wal"));
  assert.deepEqual(modes, new Map([...modes.keys()].map((file) => [file, "600"])));
});

// test/unit/config/config.test.ts has all the ways in which a setting can be wrong.
for (const [what, culprit, env, args = []] of [
  ["an unknown variable", "LATCHKEY_HTPP", { LATCHKEY_HTPP: "127.0.0.1:0" }],
  ["a bad value", "LATCHKEY_STORE", { LATCHKEY_STORE: "mysql://localhost" }],
  ["a bad value of a flag", "--http", {}, ["--http", "nowhere"]],
  ["an unknown flag", "--redis", {}, ["--redis"]],
  ["an address that others can reach", "LATCHKEY_ALLOW_OPEN", { LATCHKEY_GRPC: "0.0.0.0:0" }],
] satisfies [string, string, Record<string, string>, string[]?][]) {
  test(`${what} ends the start with one line that names it`, async (t) => {
    assertRefused(await runRefused(t, { ...IN_MEMORY, ...env }, args), culprit);
  });
}

test("a database file that cannot be used ends the start with one line", async (t) => {
  const folder = await makeFolder(t);
  const serve = (path: string) => runRefused(t, { LATCHKEY_STORE: `sqlite:${path}` });

  const garbage = join(folder, "garbage.db");
  await writeFile(garbage, "this is no database, and long enough to be none".repeat(100));
  assertRefused(await serve(garbage), garbage);

  const directory = join(folder, "directory.db");
  await mkdir(directory);
  assertRefused(await serve(directory), directory);

  const future = join(folder, "future.db");
  const db = new Sqlite(future);
  db.pragma("user_version = 99");
  db.close();
  assertRefused(await serve(future), /schema 99/);
});

for (const variable of ["LATCHKEY_GRPC", "LATCHKEY_HTTP"] as const) {
  test(`a port of ${variable} that is taken ends the start with one line`, async (t) => {
    const taken = createServer().listen(0, "127.0.0.1");
    t.after(() => taken.close());
    await once(taken, "listening");
    const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    const run = await runRefused(t, { ...IN_MEMORY, [variable]: address });
    // The other listener may have been up, but nothing may say that the server is.
    assertRefused(run, address, /in use/);
  });
}

test("--help names the commands, and serve --help every setting", async (t) => {
  const general = await runLatchkey(t, ["--help"], {});
  assert.deepEqual([general.status, general.stderr], [0, ""]);
  for (const command of ["serve", "backup"])
    assert.match(general.stdout, new RegExp(`^  ${command} `, "m"));

  const serve = await runLatchkey(t, ["serve", "--help"], {});
  assert.equal(serve.status, 0);
  const words = serve.stdout.replace(/\s+/g, " ");
  for (const { variable, flag, fallback } of SETTINGS) {
    assert.ok(words.includes(`--${flag} <value>`), flag);
    assert.ok(words.includes(`[${variable}, default ${fallback}]`), variable);
  }
});

test("--version is the package's", async (t) => {
  const { version } = (await import("../../../package.json", { with: { type: "json" } })).default;
  const run = await runLatchkey(t, ["--version"], {});
  assert.deepEqual([run.status, run.stdout], [0, `${version}\n`]);
});

test("latchkey version and the start's log tell the versions of what runs", async (t) => {
  const { version } = (await import("../../../package.json", { with: { type: "json" } })).default;
  const run = await runLatchkey(t, ["version"], {});
  assert.equal(run.status, 0);
  const node = process.versions.node;
  const [, sqlite] = run.stdout.match(/, SQLite (3\.\d+\.\d+)\n$/) ?? assert.fail(run.stdout);
  assert.equal(run.stdout, `latchkey ${version}, Node ${node}, SQLite ${sqlite}\n`);

  const server = await startServer(t, IN_MEMORY);
  await server.logged(run.stdout.trim(), (line) => line["sqlite"] === sqlite);
});

test("a server has its flags of V8 however it was started, and keeps those it was given", async (t) => {
  const given = ["--max-semi-space-size=4", "--stack-size=900"];
  const argv = [process.execPath, ...given, BIN, "serve"] as const;
  const server = await serverOf(startProgram(t, { argv, cwd: ROOT, env: IN_MEMORY }), IN_MEMORY);
  const [, ...args] = readFileSync(`/proc/${server.pid}/cmdline`, "utf8").split("\0");
  const flags = args.slice(0, args.indexOf(BIN));
  // Before 22.15, Node cannot replace itself.
  assert.deepEqual(flags, "execve" in process ? [...given, ...missingFlags(given)] : given);
});

test("flags win over the environment, and `latchkey` alone serves", async (t) => {
  const folder = await makeFolder(t);
  const env = {
    ...FREE_PORTS,
    LATCHKEY_STORE: `sqlite:${join(folder, "variable.db")}`,
    LATCHKEY_LOG_LEVEL: "silent",
  };
  const args = ["--grpc", "off", "--store", `sqlite:${join(folder, "flag.db")}`];
  const program = startLatchkey(t, [...args, "--log-level", "info"], env);
  const server = await serverOf(program, { ...env, LATCHKEY_GRPC: "off" });
  const wire = openHttp(server.http);
  done(await wire.create("ann", {}));
  wire.close();
  await server.stop();
  const files = await readdir(folder);
  assert.ok(files.includes("flag.db") && !files.some((file) => file.startsWith("variable.db")));
  const listeners = server.log().flatMap(({ listener }) => listener ?? []);
  assert.deepEqual(listeners, ["http", "command"]);
});

test("port 0 picks ports, which are logged and answer", async (t) => {
  const server = await startServer(t, IN_MEMORY);
  for (const address of [server.grpc, server.http])
    assert.match(address, /^127\.0\.0\.1:[1-9]\d*$/);
  for (const wire of [openGrpc(server.grpc), openHttp(server.http)]) {
    done(await wire.create("ann", {}));
    wire.close();
  }
});

test("the environment of a rest-sessions deployment starts, and is told what has no effect", async (t) => {
  const cwd = await makeFolder(t);
  const env = {
    LATCHKEY_GRPC: "127.0.0.1:0",
    LATCHKEY_COMMAND: "off",
    RS_PORT: "0",
    RS_REDISHOST: "redis.internal",
    RS_REDISPORT: "6379",
    RS_NAMESPACE: "rs",
    RS_LOGLEVEL: "dev",
  };
  const server = await serverOf(startLatchkey(t, ["serve"], env, cwd), env);
  const wire = openHttp(server.http);
  const { token } = done(await wire.create("ann", { from: "a deployment" }));
  assert.deepEqual(done(await wire.read(token)), { from: "a deployment" });
  wire.close();
  await server.stop();

  const warnings = server.log().filter(({ level }) => level === 40);
  const texts = warnings.map(({ msg }) => String(msg)).join("\n");
  for (const name of ["RS_PORT", "RS_REDISHOST", "RS_REDISPORT", "RS_NAMESPACE"]) {
    assert.ok(texts.includes(name), name);
  }
  assert.ok(server.log().some(({ level }) => level === 20));
  assert.ok((await readdir(join(cwd, "latchkey-data"))).includes("latchkey.db"));
});
